/*
 * The scripts, each one step: presence/scripts and cluster/scripts. A deadline d is what is left of it by the clock of
 * {nodes}; the clock of the channel is SKEW behind.
 */

#define INC(n, g) ((n)*G + (g))
#define CUR(n)    INC(n, gen[n])
#define INDEX     ((owner[0] != 0) | ((owner[1] != 0) << 1) | ((owner[2] != 0) << 2))
#define LIVE1(u, c) ((u) != (c) && owner[u] != 0 && lin[u] == 0 && USR(u) == USR(c))
#define BESIDE(c)   (LIVE1(0, c) || LIVE1(1, c) || LIVE1(2, c))              /* another connection of the user is there */
#define OTHER1(u, c) ((u) != (c) && lin[u] != 0 && USR(u) == USR(c))
#define GHOSTS(c)   (OTHER1(0, c) || OTHER1(1, c) || OTHER1(2, c))           /* other connections of the user linger */
#define PAST(d)   ((d) + SKEW < ENDED && !IS(NO_FENCE))
#define OVERDUE(i) (inN[i] && (IS(NO_GRACE) -> rem[i] < ENDED : rem[i] == 0))

/* arrived and departed keep the books of the properties. */
inline arrived(c) {
	if
	:: (here & UMASK(USR(c))) == 0 -> for (k : 0 .. N-1) { if :: VIEWER(k) && alive[k] -> came[k*3+USR(c)]++ :: else fi }
	:: else
	fi;
	here = here | BIT(c)
}

/* glimpsed: a write that is late brings one who has gone back for a lease; viewers who know that it went take no notice. */
inline glimpsed(c) {
	for (k : 0 .. N-1) { if :: VIEWER(k) && alive[k] -> came[k*3+USR(c)]++; away[k*3+USR(c)]++ :: else fi }
}

inline departed(c) {
	if
	:: (here & BIT(c)) != 0 ->
		here = here & ~BIT(c);
		if
		:: (here & UMASK(USR(c))) == 0 -> for (k : 0 .. N-1) { if :: VIEWER(k) && alive[k] -> away[k*3+USR(c)]++ :: else fi }
		:: else
		fi
	:: else
	fi
}

/* publish is message.lua's: what is sent reaches every subscriber whole and in one order. */
inline send(e, s, t, m, g) {
	for (k : 0 .. N-1) {
		if
		:: sub[k] -> assert(nfull(q[k])); q[k]!e, s, t, m, g
		:: else
		fi
	}
}

#if MUTANT == PUBLISH_APART
#define publish(n, t, m, g) \
	if :: alive[n] -> assert(nfull(apart[n])); apart[n]!epoch, seq, t, m, g :: else fi
#else
#define publish(n, t, m, g) send(epoch, seq, t, m, g)
#endif

inline advance() {
	if :: epoch == 0 -> epochs++; epoch = epochs :: else fi;
	seq++
}

/* No ghost: what is written belongs to an incarnation that nobody has declared dead. */
#define NOGHOST(n, g) (exempt || inN[INC(n, g)])

/* join.lua. res is OK or REFUSED ('fenced' or 'stale'). */
inline join(c, g, d, late) {
	res = OK;
	if
	:: PAST(d) -> res = REFUSED
	:: else ->
		if
		:: owner[c] > (g)+1 && !IS(NO_GENERATIONS) -> res = REFUSED
		:: owner[c] == (g)+1
		:: owner[c] != 0 && owner[c] != (g)+1 && (owner[c] < (g)+1 || IS(NO_GENERATIONS)) ->
			assert(NOGHOST(HOME(c), g));
			owner[c] = (g)+1                      /* moves, silently */
		:: owner[c] == 0 ->
			assert(NOGHOST(HOME(c), g));
			assert(!(STRICT && late && alive[HOME(c)] && want[c] != 1));
			owner[c] = (g)+1;
			gone = 0;
			if :: late && want[c] != 1 -> glimpsed(c) :: else -> arrived(c) fi;
			for (u : 0 .. C-1) {
				if
				:: OTHER1(u, c) && !IS(KEEP_DEVICES) -> owner[u] = 0; lin[u] = 0; gone = gone | BIT(u); departed(u)
				:: else
				fi
			}
			assert(!GHOSTS(c));                   /* who logs out now leaves at once */
			advance();
			useq[USR(c)] = seq;
			publish(HOME(c), BIT(USR(c)), (INDEX & UMASK(USR(c))), gone)
		fi;
		if :: LINGERS || RESTARTS -> wle[c] = epoch :: else fi
	fi
}

/* linger.lua. res is OK, WENT or REFUSED. */
inline linger(c, g, d, late) {
	res = OK;
	if
	:: PAST(d) || (owner[c] > (g)+1 && !IS(NO_GENERATIONS)) -> res = REFUSED
	:: else ->
		if
		:: (owner[c] == 0 && (le[c] == 0 || (le[c] == epoch && !IS(LINGER_AGAIN)))) || (owner[c] == 0 && BESIDE(c)) ->
			res = WENT;
			departed(c)
		:: owner[c] != 0 && BESIDE(c) && !IS(STAY_BESIDE) ->
			res = WENT;
			owner[c] = 0;
			lin[c] = 0;
			advance();
			useq[USR(c)] = seq;
			departed(c);
			publish(HOME(c), BIT(USR(c)), (INDEX & UMASK(USR(c))), BIT(c))
		:: else ->
			assert(NOGHOST(HOME(c), g));
			lin[c] = (late -> STAY : stay[c]) + 1;
			if
			:: owner[c] == 0 ->
				owner[c] = (g)+1;
				advance();
				useq[USR(c)] = seq;
				assert((here & BIT(c)) || late || want[c] != 4 || le[c] != epoch);   /* nobody comes back by lingering */
				if :: (here & BIT(c)) == 0 -> glimpsed(c) :: else fi;
				publish(HOME(c), BIT(USR(c)), (INDEX & UMASK(USR(c))), 0)
			:: else -> owner[c] = (g)+1       /* silently */
			fi;
			wle[c] = epoch;
			assert(!BESIDE(c))
		fi
	fi
}

/* leave.lua. */
inline leave(c, g, d) {
	res = OK;
	if
	:: PAST(d) -> res = REFUSED
	:: else ->
		if
		:: owner[c] > (g)+1 && !IS(NO_GENERATIONS) -> res = REFUSED
		:: owner[c] == 0 -> departed(c)
		:: else ->
			owner[c] = 0;
			lin[c] = 0;
			advance();
			useq[USR(c)] = seq;
			departed(c);
			publish(HOME(c), BIT(USR(c)), (INDEX & UMASK(USR(c))), BIT(c))
		fi
	fi
}

/* register.lua. */
inline register(n, g) {
	res = REFUSED;
	if :: inN[INC(n, g)] -> listed[INC(n, g)] = 1; res = OK :: else fi
}

/* reap.lua: removes the entries of mask that still belong to incarnation i; one message. A user may leave by it when its
 * node is dead, was away for too long, or does not track it any more, and when what lingers is due. */
inline reap(i, mask, all) {
	gone = 0;
	touched = 0;
	for (u : 0 .. C-1) {
		if
		:: (mask & BIT(u)) != 0 && owner[u] != 0 && (INC(HOME(u), owner[u]-1) == i || IS(REAP_ANY)) &&
		   (all || lin[u] <= 1 || IS(REAP_LINGERING)) ->
			owner[u] = 0;
			gone = gone | BIT(u);
			touched = touched | BIT(USR(u));
			if
			:: (!alive[HOME(u)] || ill[HOME(u)] || want[u] != 1) && (all || lin[u] <= 1) -> departed(u)
			:: else
			fi;
			lin[u] = 0
		:: else
		fi
	}
	if
	:: gone != 0 ->
		advance();
		mm = 0;
		for (u : 0 .. NU-1) {
			if
			:: (touched & BIT(u)) != 0 -> useq[u] = seq; mm = mm | (INDEX & UMASK(u))
			:: else
			fi
		}
		if :: !IS(REAP_SILENT) -> send(epoch, seq, touched | REAP, mm, gone) :: else fi
	:: else
	fi
}

/* What is left of an incarnation lingers, and its reaper has put it off. */
#define IN1(u, i)   (owner[u] != 0 && INC(HOME(u), owner[u]-1) == (i))
#define LATER1(u, i) (!IN1(u, i) || lin[u] > 1)
#define WAITS(i)    (LATER1(0, i) && LATER1(1, i) && LATER1(2, i) && (IN1(0, i) || IN1(1, i) || IN1(2, i)) && !IS(REAP_LINGERING))

/* declare.lua for node n under generation g. pick: an incarnation to be reaped, or NONE. */
inline declare(n, g) {
	pick = NONE;
	if
	:: (inN[INC(n, g)] && rem[INC(n, g)] >= ENDED) || IS(UNCHECKED_DECLARE) ->
		for (u : 0 .. I-1) {
			if :: OVERDUE(u) -> inN[u] = 0; inR[u] = 1; rem[u] = 0 :: else fi;
			if :: inR[u] && !WAITS(u) && pick == NONE -> pick = u :: else fi
		}
	:: else
	fi
}

/* end.lua: 'forget', or 'retire'. */
inline forget(i) { inN[i] = 0; inR[i] = 0; listed[i] = 0; rem[i] = 0 }

inline retire(i) {
	inN[i] = 0;
	rem[i] = 0;
	if :: listed[i] -> inR[i] = 1 :: else -> inR[i] = 0 fi
}

/* FLUSHALL. What nobody holds any more is gone for good. Of an entry that a viewer had not heard of it cannot know that
 * it will be written again: it may tell a leave and a join of that user (the model test in Go calls these users blind). */
inline wipe() {
	for (u : 0 .. I-1) { forget(u) }
	for (u : 0 .. C-1) {
		if
		:: owner[u] != 0 && alive[HOME(u)] && (want[u] == 1 || want[u] == 4) ->
			for (k : 0 .. N-1) {
				if
				:: VIEWER(k) && alive[k] && (vm[k] & BIT(u)) == 0 -> away[k*3+USR(u)]++; came[k*3+USR(u)]++
				:: else
				fi
			}
		:: else
		fi;
		owner[u] = 0;
		lin[u] = 0;
		if :: !alive[HOME(u)] || (want[u] != 1 && want[u] != 4) -> departed(u) :: else fi
	}
	for (u : 0 .. NU-1) { useq[u] = 0 }
	epoch = 0;
	seq = 0;
	exempt = 1
}
