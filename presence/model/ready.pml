/* When each step may be taken, when time may go on, and the steps that belong to faults. */

#define MUSTBEAT(n) (lost[n] || dl[n] < FULL || !inN[CUR(n)])

/* cluster.go afterBeat and reaper.go round; while nothing is to be reaped a round is left out, but for one that a stall
 * may hold up. */
#define TOREAP(n, g) ((inR[INC(n, g)] && !WAITS(INC(n, g))) || OVERDUE(INC(n, g)))
#define ANYREAP1(n)  (TOREAP(n, 0) || TOREAP(n, 1) || TOREAP(n, 2) || TOREAP(n, 3))
#if N > 2
#define ANYREAP (ANYREAP1(0) || ANYREAP1(1) || ANYREAP1(2))
#else
#define ANYREAP (ANYREAP1(0) || ANYREAP1(1))
#endif
#define CANREAP(n) (!OUT(n) && HELD(n) && (hf[n] == TTL || IS(EAGER_REAPER)) && ANYREAP)
#define MAYKICK(n) (rp[n] == 0 && (CANREAP(n) || (stalls > 0 && !OUT(n) && HELD(n) && hf[n] == TTL)))

inline list(n) {
	rmk[n] = 0;
	if
	:: listed[rt[n]] ->
		for (u : 0 .. C-1) {
			if :: owner[u] != 0 && INC(HOME(u), owner[u]-1) == rt[n] -> rmk[n] = rmk[n] | BIT(u) :: else fi
		}
	:: else
	fi;
	if :: rmk[n] != 0 -> rp[n] = 3 :: else -> rp[n] = 4 fi
}

#define MAYRECEIVE(n) (UP(n) && (vp[n] == 0 || vp[n] == LIVE) && nempty(q[n]))

/* The topic is subscribed first; when that is confirmed the channel is read: by Load the first time, by Resubscribed later. */
#define MAYSUBSCRIBE(n) (VIEWER(n) && !OUT(n) && !sub[n] && (!IS(SNAPSHOT_FIRST) || vp[n] == LIVE))
#define MAYOPEN(n)      (VIEWER(n) && UP(n) && vp[n] == 0 && (sub[n] || IS(SNAPSHOT_FIRST)))

inline subscribe(n) {
	sub[n] = 1;
	if
	:: vp[n] != 0 && !IS(NO_RESYNC) && !IS(SNAPSHOT_FIRST) -> reload(n)
	:: else
	fi
}

/* audit.go auditViews, when nothing is on its way any more. */
#define DIFFERS(n) (!OUT(n) && sub[n] && vp[n] == LIVE && empty(q[n]) && (ve[n] != epoch || vs[n] != seq) && !(epoch == 0 && vm[n] == 0))

/* The node cannot reach Redis: what is on its way may arrive later, or not; its connections broke (OnBreak). */
inline cutoff(n) {
	cut[n] = 1;
	ill[n] = 1;
	for (u : 0 .. C-1) { if :: HOME(u) == n -> abandon(u) :: else fi }
	sub[n] = 0;
	drain(n);
	renounce(n)
}

/* SIGTERM: the clients are sent away, and their entries removed, or left to linger, if that can be done in time. */
inline sendaway(n) {
	for (u : 0 .. C-1) {
		if
		:: HOME(u) == n && want[u] == 0 -> want[u] = 3
		:: HOME(u) == n && want[u] == 1 && !RESTARTS -> want[u] = 2; departed(u)
		:: HOME(u) == n && want[u] == 1 && RESTARTS -> want[u] = 4; stay[u] = STAY
		:: else
		fi
	}
}

/* node.go closeRooms, tracker.go Close, cluster.go Close: a write still under way has no known outcome, so its incarnation
 * is disowned; a lease that was not is retired. */
inline shutdown(n) {
	okk = !lost[n];
	for (u : 0 .. C-1) {
		if :: HOME(u) == n && wk[u] != 0 -> okk = 0 :: else fi
	}
	if :: !OUT(n) && (okk || IS(RETIRE_IN_DOUBT)) -> retire(CUR(n)) :: else fi;
	die(n)
}

/* Time goes on only when everybody who can has done what was due: a heartbeat's time is long for them. */
#define QUIETC(c) (OUT(HOME(c)) || (SETTLED(c) && !OVER(c)))
#define OVER(c)   (want[c] == 4 && stay[c] == 0)                             /* own.go lingered */
#define QUIETN(n) (OUT(n) || (!MUSTBEAT(n) && rp[n] == 0 && !CANREAP(n) && orph[n] != 1 && QUIETV(n) && APARTED(n)))
#define QUIETV(n) (!VIEWER(n) || vp[n] == 0 || (sub[n] && vp[n] == LIVE && !DUE(n) && (SLOW || empty(q[n]))))
#if MUTANT == PUBLISH_APART
#define APARTED(n) empty(apart[n])
#else
#define APARTED(n) true
#endif
#if N > 2
#define QUIETNS (QUIETN(0) && QUIETN(1) && QUIETN(2))
#else
#define QUIETNS (QUIETN(0) && QUIETN(1))
#endif
#define CALM (QUIETC(0) && QUIETC(1) && QUIETC(2) && QUIETNS)

/* It goes on only as long as something waits for it: a lease that nobody renews, a reaper's own ttl, a hold, an orphan, what
 * lingers. */
#define LINGERS1(c) (lin[c] > 1 || stay[c] > 0)
#define RUNSOUT(n, g) (inN[INC(n, g)] && rem[INC(n, g)] > 0 && !(g == gen[n] && !OUT(n)))
#define TIMEFOR1(n)   (RUNSOUT(n, 0) || RUNSOUT(n, 1) || RUNSOUT(n, 2) || RUNSOUT(n, 3) || \
	(!OUT(n) && hf[n] < TTL && ANYREAP) || orph[n] > 1 || hold[(n)*3] > 1 || hold[(n)*3+1] > 1 || hold[(n)*3+2] > 1 || \
	(OUT(n) && dl[n] > 0))
#if N > 2
#define TIMEMATTERS (TIMEFOR1(0) || TIMEFOR1(1) || TIMEFOR1(2) || LINGERS1(0) || LINGERS1(1) || LINGERS1(2))
#define ANYBODY     (alive[0] || alive[1] || alive[2])
#else
#define TIMEMATTERS (TIMEFOR1(0) || TIMEFOR1(1) || LINGERS1(0) || LINGERS1(1) || LINGERS1(2))
#define ANYBODY     (alive[0] || alive[1])
#endif
