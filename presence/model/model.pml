/*
 * The presence protocol of Rollcall (DESIGN.md, part 3) as a model for spin. README.md says what is in it and how it is
 * run. Every option of the loop below is one step that cannot be divided: a script in Redis, or what a node does between
 * two calls of Redis. Which step comes next, and which fault, is open; spin tries all.
 */
#include "state.pml"
#include "redis.pml"
#include "node.pml"
#include "view.pml"
#include "ready.pml"

/* One step; a trail names it. */
#define STEP(what, who, ...) d_step { __VA_ARGS__; printf(what, who); printf("\n") }

/* Clients, and writes of their entries. */
#define CONNECTION(c) \
	:: STEP("connection %d is tracked", c, (c) < C && want[c] == 0 && UP(HOME(c)) && !stopping[HOME(c)] -> want[c] = 1) \
	:: STEP("connection %d is untracked", c, (c) < C && want[c] == 1 && UP(HOME(c)) && (UNTRACK & BIT(c)) -> want[c] = 2; departed(c)) \
	:: STEP("connection %d drops", c, (c) < C && want[c] == 1 && UP(HOME(c)) && (LINGERS & BIT(c)) -> want[c] = 4; stay[c] = STAY) \
	:: STEP("connection %d has lingered", c, (c) < C && UP(HOME(c)) && OVER(c) -> want[c] = 2; departed(c)) \
	:: STEP("a write of connection %d is sent", c, (c) < C && MAYSEND(c) -> begin(c)) \
	:: STEP("the write of connection %d lands", c, (c) < C && wk[c] != 0 && wa[c] == 0 && !stall && !cut[HOME(c)] -> land(c)) \
	:: STEP("the write of connection %d is answered", c, (c) < C && wa[c] != 0 && UP(HOME(c)) -> answer(c)) \
	:: STEP("the write of connection %d has no answer", c, (c) < C && lates > 0 && wk[c] != 0 && wa[c] == 0 && UP(HOME(c)) -> \
		lates--; abandon(c); if :: IS(KEEP_LEASE) -> skip :: else -> renounce(HOME(c)) fi) \
	:: STEP("the late write of connection %d lands", c, (c) < C && lk[c] != 0 && !stall -> landlate(c)) \
	:: STEP("the late write of connection %d is lost", c, (c) < C && lk[c] != 0 -> nolate(c))

/* A node's loops: heartbeat, reaper, the view of the channel, upkeep. */
#define NODE(n) \
	:: STEP("node %d beats", n, !OUT(n) && MUSTBEAT(n) && rp[n] != 1 -> beat(n)) \
	:: STEP("reaper %d sends its declaration", n, MAYKICK(n) -> rp[n] = 1; rg[n] = gen[n]) \
	:: STEP("the declaration of reaper %d lands", n, alive[n] && rp[n] == 1 && !stall && !cut[n] -> declare(n, rg[n]); rg[n] = 0; \
		if :: pick == NONE -> rp[n] = 0 :: else -> rp[n] = 2; rt[n] = pick fi) \
	:: STEP("reaper %d lists entries", n, rp[n] == 2 && !OUT(n) -> list(n)) \
	:: STEP("reaper %d removes entries", n, rp[n] == 3 && !OUT(n) -> reap(rt[n], rmk[n], 0); rmk[n] = 0; rp[n] = 4) \
	:: STEP("reaper %d ends the incarnation, or puts it off", n, rp[n] == 4 && !OUT(n) -> \
		if :: WAITS(rt[n]) && !IS(FORGET_LINGERING) -> skip :: else -> forget(rt[n]) fi; rt[n] = 0; rp[n] = 0) \
	:: STEP("view %d receives a change", n, MAYRECEIVE(n) -> receive(n)) \
	:: STEP("view %d adds a change to its snapshot", n, vp[n] == WAIT && UP(n) && nempty(q[n]) -> catchup(n)) \
	:: STEP("view %d misses a change and begins again", n, vp[n] == WAIT && UP(n) && empty(q[n]) -> reload(n)) \
	:: STEP("view %d reads the position before", n, vp[n] == POS1 && !OUT(n) -> position1(n)) \
	:: STEP("view %d reads the pages", n, vp[n] == PAGES && !OUT(n) -> page(n)) \
	:: STEP("view %d reads the position after", n, vp[n] == POS2 && !OUT(n) -> position2(n)) \
	:: STEP("view %d ends its holds", n, vp[n] != 0 && UP(n) && DUE(n) -> expire(n)) \
	:: STEP("node %d subscribes", n, MAYSUBSCRIBE(n) -> subscribe(n)) \
	:: STEP("view %d begins to load", n, MAYOPEN(n) -> vp[n] = POS1) \
	:: STEP("the audit of node %d finds a difference", n, AUDITS && !IS(NO_AUDIT) && DIFFERS(n) -> reload(n)) \
	:: STEP("node %d meets an orphan", n, ORPHANS && !IS(NO_ORPHANS) && !OUT(n) && orph[n] == 0 && SUSPECT(n) -> orph[n] = TTL+1) \
	:: STEP("node %d removes an orphan", n, orph[n] == 1 && !OUT(n) -> removeorphan(n))

/* Faults of a node. */
#define FAULTS(n) \
	:: STEP("node %d crashes", n, crashes > 0 && alive[n] && MAYFAIL(n) -> crashes--; die(n)) \
	:: STEP("node %d freezes", n, freezes > 0 && UP(n) && MAYFAIL(n) -> freezes--; frozen[n] = 1; ill[n] = 1; flying[n] = gen[n]+1) \
	:: STEP("node %d thaws", n, frozen[n] -> frozen[n] = 0) \
	:: STEP("the declaration of reaper %d has no answer", n, rp[n] == 1 && stall && UP(n) -> \
		ldec[n] = rg[n]+1; flying[n] = rg[n]+1; rp[n] = 0; rg[n] = 0; renounce(n)) \
	:: STEP("the late declaration of reaper %d lands", n, ldec[n] > 0 && !stall -> declare(n, ldec[n]-1); ldec[n] = 0) \
	:: STEP("the late declaration of reaper %d is lost", n, ldec[n] > 0 -> ldec[n] = 0) \
	:: STEP("the late heartbeat of node %d lands", n, flying[n] > 0 && !stall -> \
		if :: inN[INC(n, flying[n]-1)] -> rem[INC(n, flying[n]-1)] = FULL :: else fi; flying[n] = 0) \
	:: STEP("the late heartbeat of node %d is lost", n, flying[n] > 0 -> flying[n] = 0) \
	:: STEP("node %d is cut off", n, cuts > 0 && UP(n) && !cut[n] && MAYFAIL(n) -> cuts--; cutoff(n)) \
	:: STEP("node %d is connected again", n, cut[n] && UP(n) -> cut[n] = 0; susp[n] = TTL) \
	:: STEP("the subscription of node %d breaks", n, breaks > 0 && sub[n] && UP(n) -> breaks--; sub[n] = 0; drain(n); renounce(n)) \
	:: STEP("a message to node %d is lost", n, losses > 0 && nempty(q[n]) -> losses--; q[n]?me, ms, mt, mm, mg) \
	:: STEP("node %d begins to stop", n, stops > 0 && UP(n) && !stopping[n] && MAYFAIL(n) -> stops--; stopping[n] = 1; sendaway(n)) \
	:: STEP("node %d stops", n, stopping[n] && UP(n) -> exempt = 1; shutdown(n))

init {
	d_step {
		for (u : 0 .. N-1) {
			alive[u] = 1;
			inN[CUR(u)] = 1;
			rem[CUR(u)] = FULL;
			dl[u] = FULL;
			hf[u] = TTL;
			if :: VIEWER(u) && !((COLD >> u) & 1) -> vp[u] = LIVE; sub[u] = 1 :: else fi
		}
	}
	do
	CONNECTION(0)
#if C > 1
	CONNECTION(1)
#endif
#if C > 2
	CONNECTION(2)
#endif
	NODE(0)
	NODE(1)
	FAULTS(0)
	FAULTS(1)
#if N > 2
	NODE(2)
	FAULTS(2)
#endif
#if MUTANT == PUBLISH_APART
	:: STEP("node %d publishes", 0, UP(0) && nempty(apart[0]) -> apart[0]?me, ms, mt, mm, mg; send(me, ms, mt, mm, mg))
	:: STEP("node %d publishes", 1, UP(1) && nempty(apart[1]) -> apart[1]?me, ms, mt, mm, mg; send(me, ms, mt, mm, mg))
#endif
	:: STEP("wipe %d", wipes, wipes > 0 && !stall -> wipes--; wipe())
	:: STEP("Redis stalls (%d)", stalls, stalls > 0 && !stall -> stalls--; stall = 1)
	:: STEP("Redis goes on (%d)", stalls, stall -> stall = 0)
	:: STEP("tick (%d)", 0, TIMEMATTERS && CALM -> tick())
	:: else -> break
	od;
	skip;
	/* All faults are over and nothing is left to do: every view is exact (SPEC 5.1). */
	d_step {
		if
		:: ANYBODY ->
			assert(INDEX == TRUTH);                   /* no ghost, no lost user */
			for (u : 0 .. C-1) { assert(owner[u] == 0 || owner[u] == gen[HOME(u)]+1) }
			for (u : 0 .. N-1) {
				assert(!alive[u] || !lost[u]);
				if
				:: alive[u] && VIEWER(u) ->
					assert(vp[u] == LIVE);
					assert(vm[u] == TRUTH);           /* replicas converge */
					assert(told[u] == (((vm[u] & UMASK(0)) != 0) | (((vm[u] & UMASK(1)) != 0) << 1) | (((vm[u] & UMASK(2)) != 0) << 2)))
				:: else
				fi
			}
		:: else
		fi
	}
}
