/* One node: its lease (cluster/lease.go, cluster.go), what it writes (presence/settle.go), its reaper (cluster/reaper.go). */

#define UP(n)   (alive[n] && !frozen[n])
#define OUT(n)  (!alive[n] || frozen[n] || stall || cut[n])
#define HELD(n) (!lost[n] && dl[n] > ENDED)

#define MINE(c) (alive[HOME(c)] && want[c] == 1)
#define TRUTH   (MINE(0) | (MINE(1) << 1) | (MINE(2) << 2))

/* own.go settled */
#define HASIT(c)   (want[c] == 1 && done[c] == 1 && (oin[c] == gen[HOME(c)]+1 || IS(NO_REWRITE)))
#define LINGERING(c) (want[c] == 4 && done[c] == 4 && oin[c] == gen[HOME(c)]+1)
#define SETTLED(c) (wk[c] == 0 && (want[c] == 0 || want[c] == 3 || HASIT(c) || LINGERING(c)))

/* load.go reload */
inline reload(n) {
	if
	:: vp[n] != 0 -> vp[n] = POS1; sm[n] = 0; se[n] = 0; ss[n] = 0; sn[n] = 0; sg[n] = 0; sl[n] = 0
	:: else
	fi
}

inline renounce(n) { lost[n] = 1; susp[n] = TTL }

/* cluster.go beat: renews, or takes the next incarnation, of which tracker.go NewIncarnation is told. */
inline beat(n) {
	if
	:: !lost[n] && (inN[CUR(n)] || (IS(LEASE_COMES_BACK) && inR[CUR(n)])) ->
		inN[CUR(n)] = 1;
		rem[CUR(n)] = FULL;
		if :: dl[n] <= ENDED -> hf[n] = 0 :: else fi;
		dl[n] = FULL
	:: else ->
		gen[n]++;
		assert(gen[n] < G);                       /* a bound of the model */
		lost[n] = 0;
		inN[CUR(n)] = 1;
		rem[CUR(n)] = FULL;
		dl[n] = FULL;
		hf[n] = 0;
		susp[n] = TTL;
		reload(n)
	fi;
	recovered(n)
}

/* recovered: from now on nobody may remove what this node tracks. */
inline recovered(n) {
	okk = !lost[n] && dl[n] == FULL && inN[CUR(n)];
	for (u : 0 .. C-1) {
		if :: HOME(u) == n && !SETTLED(u) -> okk = 0 :: else fi
	}
	if :: okk -> ill[n] = 0 :: else fi
}

inline nowrite(c) { wk[c] = 0; wl[c] = 0; wg[c] = 0; wd[c] = 0; wa[c] = 0 }
inline nolate(c)  { lk[c] = 0; lg[c] = 0; ldl[c] = 0 }

/* settle.go settle: begins a write under the present lease. */
#define MAYSEND(c) (UP(HOME(c)) && !cut[HOME(c)] && HELD(HOME(c)) && want[c] != 0 && want[c] != 3 && !SETTLED(c) && wk[c] == 0)

inline begin(c) {
	wg[c] = gen[HOME(c)];
	wd[c] = dl[HOME(c)];
	wl[c] = want[c] == 4;
	if
	:: want[c] == 2 -> wk[c] = LEAVE
	:: want[c] == 1 && (regin[HOME(c)] == gen[HOME(c)]+1 || IS(LISTED_AFTER)) -> wk[c] = JOIN
	:: want[c] == 4 && regin[HOME(c)] == gen[HOME(c)]+1 -> wk[c] = LINGER
	:: else -> wk[c] = REG
	fi
}

/* A write arrives in Redis; its node takes the answer if it runs. */
inline land(c) {
	if
	:: wk[c] == REG   -> register(HOME(c), wg[c])
	:: wk[c] == JOIN  -> join(c, wg[c], wd[c], 0)
	:: wk[c] == LEAVE -> leave(c, wg[c], wd[c])
	:: wk[c] == LINGER -> linger(c, wg[c], wd[c], 0)
	fi;
	wa[c] = res;
	if :: UP(HOME(c)) -> answer(c) :: else fi
}

/* settle.go settle and recover, after put. */
inline answer(c) {
	if
	:: wa[c] == REFUSED ->
		if :: dl[HOME(c)] > ENDED -> dl[HOME(c)] = ENDED :: else fi;   /* Renew before the next attempt */
		nowrite(c)
	:: wa[c] == OK && wk[c] == REG ->
		regin[HOME(c)] = wg[c]+1;
		if
		:: IS(LISTED_AFTER) -> done[c] = 1; oin[c] = wg[c]+1; nowrite(c)
		:: else -> wk[c] = (wl[c] -> LINGER : JOIN); wa[c] = 0
		fi
	:: wa[c] == OK && wk[c] == JOIN ->
		le[c] = wle[c];
		if
		:: IS(LISTED_AFTER) && regin[HOME(c)] != wg[c]+1 -> wk[c] = REG; wa[c] = 0
		:: else -> done[c] = 1; oin[c] = wg[c]+1; nowrite(c)
		fi
	:: wa[c] == OK && wk[c] == LEAVE -> done[c] = 0; oin[c] = 0; want[c] = 3; nowrite(c)
	:: wa[c] == OK && wk[c] == LINGER -> done[c] = 4; oin[c] = wg[c]+1; le[c] = wle[c]; nowrite(c)
	:: wa[c] == WENT -> done[c] = 0; oin[c] = 0; want[c] = 3; stay[c] = 0; nowrite(c)
	fi;
	recovered(HOME(c))
}

/* A late write arrives; nobody waits for its answer. */
inline landlate(c) {
	if
	:: lk[c] == REG   -> register(HOME(c), lg[c])
	:: lk[c] == JOIN  -> join(c, lg[c], ldl[c], 1)
	:: lk[c] == LEAVE -> leave(c, lg[c], ldl[c])
	:: lk[c] == LINGER -> linger(c, lg[c], ldl[c], 1)
	fi;
	nolate(c)
}

/* Its node does not wait for a write any more: it may land later. An older one of the kind is lost then. */
inline abandon(c) {
	if
	:: wk[c] != 0 && wa[c] == 0 -> lk[c] = wk[c]; lg[c] = wg[c]; ldl[c] = wd[c]
	:: else
	fi;
	nowrite(c)
}

inline drain(n) {
	do :: nempty(q[n]) -> q[n]?me, ms, mt, mm, mg :: empty(q[n]) -> break od
}

/* A node ends. What it had sent may land; its clients are gone. */
inline die(n) {
	for (u : 0 .. C-1) {
		if
		:: HOME(u) == n ->
			abandon(u);
			done[u] = 0; oin[u] = 0; stay[u] = 0;
			if :: owner[u] == 0 -> departed(u) :: else fi
		:: else
		fi
	}
	alive[n] = 0; frozen[n] = 0; cut[n] = 0; lost[n] = 0; stopping[n] = 0; ill[n] = 0;
	dl[n] = 0; hf[n] = 0; susp[n] = 0; regin[n] = 0;
	rp[n] = 0; rg[n] = 0; rt[n] = 0; rmk[n] = 0;
	sub[n] = 0; drain(n);
	vp[n] = 0; vm[n] = 0; ve[n] = 0; vs[n] = 0; vb[n] = 0; sm[n] = 0; se[n] = 0; ss[n] = 0; sn[n] = 0; sg[n] = 0; left[n] = 0; sl[n] = 0;
	orph[n] = 0; told[n] = 0;
	for (u : 0 .. 2) { vus[n*3+u] = 0; hold[n*3+u] = 0; sus[n*3+u] = 0; away[n*3+u] = 0; came[n*3+u] = 0 }
#if MUTANT == PUBLISH_APART
	do :: nempty(apart[n]) -> apart[n]?me, ms, mt, mm, mg :: empty(apart[n]) -> break od
#endif
}

/* A tick of all clocks. Who reaches Redis has beaten: its lease is whole again. */
inline tick() {
	for (u : 0 .. N-1) {
		for (k : 0 .. G-1) {
			if
			:: inN[INC(u, k)] && k == gen[u] && !OUT(u) -> rem[INC(u, k)] = FULL
			:: inN[INC(u, k)] && !(k == gen[u] && !OUT(u)) && rem[INC(u, k)] > 0 -> rem[INC(u, k)]--
			:: else
			fi
		}
		if
		:: alive[u] ->
			if :: OUT(u) && dl[u] > 0 -> dl[u]-- :: else fi;
			if :: hf[u] < TTL -> hf[u]++ :: else fi;
			if :: susp[u] > 0 -> susp[u]-- :: else fi;
			if :: orph[u] > 1 -> orph[u]-- :: else fi
		:: else
		fi;
		for (k : 0 .. C-1) {
			if :: hold[u*3+k] > 1 -> hold[u*3+k]-- :: else fi
		}
	}
	for (u : 0 .. C-1) {
		if :: wd[u] > 0 -> wd[u]-- :: else fi;
		if :: ldl[u] > 0 -> ldl[u]-- :: else fi;
		if :: stay[u] > 0 -> stay[u]-- :: else fi;
		if :: lin[u] > 1 -> lin[u]-- :: else fi
	}
}
