/* A node's view of the channel: presence/view.go, load.go, snapshot.go, replica.go; and what its clients are told. */

/* tell: the events of a change from the metas was to nxt. One join, one leave; none for those who stayed. */
inline tell(n) {
	for (u : 0 .. NU-1) {
		if
		:: (was & UMASK(u)) != 0 && (nxt & UMASK(u)) == 0 ->
			assert(told[n] & BIT(u));                 /* no leave without a join */
			assert(away[n*3+u] > 0);                  /* no leave of one who stayed, no second one */
			away[n*3+u]--;
			told[n] = told[n] & ~BIT(u)
		:: (was & UMASK(u)) == 0 && (nxt & UMASK(u)) != 0 ->
			assert(!(told[n] & BIT(u)));
			assert(came[n*3+u] > 0);                  /* no join of one who was here already */
			came[n*3+u]--;
			told[n] = told[n] | BIT(u)
		:: else
		fi
	}
	vm[n] = nxt
}

#define NEXT    (me == ve[n] && (ms == vs[n]+1 || (IS(IGNORE_GAPS) && ms > vs[n])))
#define BEGINS  (ms == 1 && me != ve[n] && (ve[n] == 0 || vm[n] == 0))

/* replica.go includes, for the message just taken. */
inline includes(n) {
	okk = me == ve[n] && vs[n] == vb[n] && ms <= vb[n];
	mm = mm & ~left[n];
	for (u : 0 .. NU-1) {
		if
		:: (mt & BIT(u)) == 0
		:: (mt & BIT(u)) != 0 && (vm[n] & UMASK(u)) == 0 -> okk = okk && (mm & UMASK(u)) == 0
		:: (mt & BIT(u)) != 0 && (vm[n] & UMASK(u)) != 0 ->
			okk = okk && (vus[n*3+u] > ms || (vus[n*3+u] == ms && (vm[n] & UMASK(u)) == (mm & UMASK(u))))
		fi
	}
}

/* replica.go put and withHeld for all users in touched: metas mm are the truth; held ones stay, those of h become held. */
inline put(n, h) {
	mm = mm & ~left[n];                               /* tombstones.go without */
	was = vm[n];
	nxt = vm[n];
	for (u : 0 .. C-1) {
		if
		:: (touched & BIT(USR(u))) == 0
		:: (touched & BIT(USR(u))) != 0 && (mm & BIT(u)) != 0 -> nxt = nxt | BIT(u); hold[n*3+u] = 0
		:: (touched & BIT(USR(u))) != 0 && (mm & BIT(u)) == 0 && (was & BIT(u)) != 0 ->
			if
			:: (mg & BIT(u)) != 0 || (hold[n*3+u] == 0 && !(h)) -> nxt = nxt & ~BIT(u); hold[n*3+u] = 0
			:: (mg & BIT(u)) == 0 && hold[n*3+u] == 0 && (h) -> hold[n*3+u] = TTL+1
			:: else
			fi
		:: else
		fi
	}
	tell(n)
}

/* users without metas have no seq */
inline forgetseq(n) {
	for (u : 0 .. NU-1) { if :: (vm[n] & UMASK(u)) == 0 -> vus[n*3+u] = 0 :: else fi }
}

/* channel.go Receive and replica.go Apply. */
inline receive(n) {
	q[n]?me, ms, mt, mm, mg;
	if
	:: vp[n] == 0                                     /* cold: nobody is here */
	:: vp[n] != 0 && (NEXT || BEGINS) ->
		if :: !NEXT -> vb[n] = 0 :: else fi;
		ve[n] = me;
		vs[n] = ms;
		touched = mt;
		if :: (mt & REAP) == 0 -> left[n] = left[n] | (mg & vm[n]) :: else fi;
		put(n, 0);
		for (u : 0 .. NU-1) { if :: (mt & BIT(u)) != 0 -> vus[n*3+u] = ms :: else fi }
		forgetseq(n)
	:: else ->
		includes(n);
		if :: okk -> skip :: else -> reload(n) fi
	fi
}

/* store.go Snapshot, in three readings. */
inline position1(n) {
	se[n] = epoch;
	ss[n] = seq;
	sn[n] = seq;
	sm[n] = 0;
	sg[n] = 0;
	sl[n] = 0;
	for (u : 0 .. NU-1) { sus[n*3+u] = 0 }
	if
	:: epoch == 0 -> vp[n] = WAIT; complete(n)
	:: else -> vp[n] = PAGES
	fi
}

inline page(n) {
	sm[n] = INDEX;
	for (u : 0 .. NU-1) { if :: (sm[n] & UMASK(u)) != 0 -> sus[n*3+u] = useq[u] :: else fi }
	vp[n] = POS2
}

inline position2(n) {
	sn[n] = seq;
	okk = epoch == se[n] && seq >= ss[n];
	for (u : 0 .. NU-1) { if :: sus[n*3+u] > sn[n] -> okk = 0 :: else fi }
	if
	:: okk ->
		vp[n] = WAIT;
		if :: IS(NO_WAIT) -> ss[n] = sn[n] :: else fi;
		complete(n)
	:: else -> vp[n] = POS1                           /* ErrMoved */
	fi
}

/* snapshot.go Advance with the next change that came while the pages were read. */
inline catchup(n) {
	q[n]?me, ms, mt, mm, mg;
	if
	:: me == se[n] && ms <= ss[n]
	:: (me == se[n] && ms == ss[n]+1) || (se[n] == 0 && ms == 1) ->
		se[n] = me;
		ss[n] = ms;
		sg[n] = (sg[n] | mg) & ~mm;
		for (u : 0 .. NU-1) {
			if
			:: (mt & BIT(u)) != 0 && (mt & REAP) == 0 ->
				sl[n] = sl[n] | (mg & vm[n] & UMASK(u));
				if :: sus[n*3+u] < ms -> sl[n] = sl[n] | (mg & sm[n] & UMASK(u)) :: else fi
			:: else
			fi;
			if
			:: (mt & BIT(u)) != 0 ->
				sm[n] = (sm[n] & ~UMASK(u)) | (mm & UMASK(u));
				sus[n*3+u] = ((mm & UMASK(u)) != 0 -> ms : 0)
			:: else
			fi
		}
		complete(n)
	:: else -> vp[n] = POS1                           /* they do not fit together */
	fi
}

/* load.go complete and holdUntil, replica.go Reset. */
inline complete(n) {
	if
	:: ss[n] >= sn[n] ->
		okk = vm[n] != 0 && (ve[n] != se[n] || ss[n] < vs[n] || susp[n] > 0) && !IS(NO_HOLD);
		if :: IS(FRESH_REPLICA) -> vm[n] = 0 :: else fi;
		mm = sm[n];
		mg = sg[n];
		left[n] = left[n] | sl[n];
		touched = 7;
		put(n, okk);
		ve[n] = se[n];
		vs[n] = ss[n];
		vb[n] = ss[n];
		for (u : 0 .. NU-1) {
			vus[n*3+u] = ((sm[n] & UMASK(u)) != 0 -> sus[n*3+u] : ss[n]);
			sus[n*3+u] = 0
		}
		forgetseq(n);
		sm[n] = 0; se[n] = 0; ss[n] = 0; sn[n] = 0; sg[n] = 0; sl[n] = 0;
		vp[n] = LIVE
	:: else
	fi
}

/* replica.go Expire. */
#define DUE(n) (hold[(n)*3] == 1 || hold[(n)*3+1] == 1 || hold[(n)*3+2] == 1)

inline expire(n) {
	was = vm[n];
	nxt = vm[n];
	for (u : 0 .. C-1) {
		if :: hold[n*3+u] == 1 -> hold[n*3+u] = 0; nxt = nxt & ~BIT(u) :: else fi
	}
	tell(n);
	forgetseq(n)
}

/* audit.go: an entry that the view shows, or hides since it left, whose incarnation is unknown to the cluster. */
#define NOTED(n)    (IS(ORPHANS_SEEN) -> vm[n] : vm[n] | left[n])
#define UNKNOWN(c)  (owner[c] != 0 && !inN[INC(HOME(c), owner[c]-1)] && !inR[INC(HOME(c), owner[c]-1)])
#define SUSPECT(n)  (vp[n] == LIVE && ((UNKNOWN(0) && (NOTED(n) & 1)) || (UNKNOWN(1) && (NOTED(n) & 2)) || (UNKNOWN(2) && (NOTED(n) & 4))))

/* audit.go checkOrphans, after one lease time: one unknown incarnation. */
inline removeorphan(n) {
	pick = NONE;
	for (u : 0 .. C-1) {
		if
		:: pick == NONE && owner[u] != 0 && (NOTED(n) & BIT(u)) != 0 ->
			pick = INC(HOME(u), owner[u]-1);
			if :: inN[pick] || inR[pick] -> pick = NONE :: else fi
		:: else
		fi
	}
	orph[n] = 0;
	if :: pick != NONE -> reap(pick, 7, 1) :: else fi
}
