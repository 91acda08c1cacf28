/*
 * What there is: sizes, faults, mutants, the keys in Redis, what each node and each client knows.
 *
 * A run has N nodes and up to three connections. Connection c is at node HOME(c), of user USR(c); it is tracked at most
 * once, and untracked again only when it is in the mask UNTRACK. One channel.
 *
 * Time is counted in ticks of a heartbeat. Deadlines are kept as what is left of them, so that the number of states is
 * finite: FULL right after a heartbeat, ENDED from the deadline on, 0 when the grace is over too.
 */

#ifndef N
#define N 2                    /* nodes */
#endif
#ifndef C
#define C 1                    /* connections, at most 3 */
#endif
#ifndef H1
#define H1 0                   /* the node of connection 1 (of connection 0: node 0); likewise H2 */
#endif
#ifndef H2
#define H2 0
#endif
#ifndef U1
#define U1 0                   /* the user of connection 1 (of connection 0: user 0); likewise U2 */
#endif
#ifndef U2
#define U2 0
#endif
#ifndef UNTRACK
#define UNTRACK 7              /* mask of connections that may be untracked by their clients */
#endif
#ifndef LINGERS
#define LINGERS 0              /* mask of connections that may drop and linger */
#endif
#ifndef STAY
#define STAY 1                 /* ticks that something lingers */
#endif
#ifndef VIEWERS
#define VIEWERS 2              /* mask of nodes with an audience in the channel */
#endif
#ifndef COLD
#define COLD 0                 /* mask of viewers whose audience comes later */
#endif

/* How often each fault may happen. */
#ifndef CRASHES
#define CRASHES 0              /* kill -9 */
#endif
#ifndef CRASHABLE
#define CRASHABLE 7            /* mask of nodes that may crash, freeze, be cut off, stop */
#endif
#ifndef FREEZES
#define FREEZES 0              /* SIGSTOP, then SIGCONT */
#endif
#ifndef WIPES
#define WIPES 0                /* FLUSHALL */
#endif
#ifndef LATES
#define LATES 0                /* a write has no answer, and lands later or never */
#endif
#ifndef BREAKS
#define BREAKS 0               /* a pub/sub connection breaks: what was on it is lost, with a sign */
#endif
#ifndef LOSSES
#define LOSSES 0               /* pub/sub loses a message without a sign */
#endif
#ifndef CUTS
#define CUTS 0                 /* a node cannot reach Redis, until it is healed */
#endif
#ifndef STALLS
#define STALLS 0               /* Redis answers nobody for a while */
#endif
#ifndef STOPS
#define STOPS 0                /* SIGTERM */
#endif
#ifndef RESTARTS
#define RESTARTS 0             /* 1: what a stopping node sends away lingers (--restart-grace) */
#endif
#ifndef SLOW
#define SLOW 0                 /* 1: time goes on while messages are on their way */
#endif
#ifndef AUDITS
#define AUDITS 0               /* 1: the audit of positions runs */
#endif
#ifndef ORPHANS
#define ORPHANS 0              /* 1: the check for orphans runs */
#endif
#ifndef STRICT
#define STRICT 0               /* 1: not even for one lease may a late write of a live node bring a user back */
#endif

/* What may be broken on purpose: spin -DMUTANT=NO_FENCE … must find it. */
#define NO_FENCE          1    /* message.lua: past() is never true */
#define NO_GRACE          2    /* declare.lua: dead at the deadline */
#define EAGER_REAPER      3    /* cluster.go afterBeat: does not wait for a whole ttl of its own */
#define UNCHECKED_DECLARE 4    /* declare.lua: the declaring node's lease is not looked at */
#define NO_HOLD           5    /* load.go holdUntil: always 0 */
#define NO_RESYNC         6    /* channel.go Resubscribed: does nothing */
#define PUBLISH_APART     7    /* join.lua, leave.lua: the node publishes after the script */
#define LISTED_AFTER      8    /* settle.go put: register after the join */
#define SNAPSHOT_FIRST    9    /* hub: Load before the subscription is confirmed */
#define NO_GENERATIONS   10    /* join.lua, leave.lua: no 'stale' */
#define KEEP_LEASE       11    /* settle.go recover: no Disown after an unknown outcome */
#define REAP_ANY         12    /* reap.lua: does not ask who owns an entry */
#define NO_AUDIT         13    /* tracker.go loop: no audit */
#define NO_ORPHANS       14    /* tracker.go loop: no checkOrphans */
#define NO_REWRITE       15    /* tracker.go NewIncarnation: entries are not written again */
#define IGNORE_GAPS      16    /* replica.go Apply: any later seq is applied */
#define RETIRE_IN_DOUBT  17    /* cluster.go Close: gives up a lease that was disowned */
#define FRESH_REPLICA    18    /* load.go complete: a new replica instead of Reset */
#define NO_WAIT          19    /* load.go complete: takes the pages for the state at End */
#define REAP_SILENT      20    /* reap.lua: publishes nothing */
#define LEASE_COMES_BACK 21    /* heartbeat.lua: renews what was declared dead */
#define KEEP_DEVICES     22    /* join.lua: leaves what lingers of the user */
#define STAY_BESIDE      23    /* linger.lua: does not look for another connection of the user */
#define REAP_LINGERING   24    /* reap.lua: does not wait for the deadline */
#define FORGET_LINGERING 25    /* reaper.go reap: ends the incarnation although something lingers */
#define LINGER_AGAIN     26    /* linger.lua: writes an entry again that somebody took away */
#define ORPHANS_SEEN     27    /* tombstones.go: metas that come back are not noted for checkOrphans */
#ifndef MUTANT
#define MUTANT 0
#endif
#define IS(m) (MUTANT == (m))

#define HOME(c)  ((c) == 0 -> 0 : ((c) == 1 -> H1 : H2))
#define USR(c)   ((c) == 0 -> 0 : ((c) == 1 -> U1 : U2))
#define BIT(c)   (1 << (c))
#define UMASK(u) (((u) == 0) | (((u) == U1) << 1) | (((u) == U2) << 2))   /* connections of a user */
#define NU       (1 + (U1 > 0 || U2 > 0) + (U1 > 1 || U2 > 1))            /* users */
#define VIEWER(n) ((VIEWERS >> (n)) & 1)
#define MAYFAIL(n) ((CRASHABLE >> (n)) & 1)

#define G     4                /* incarnations of one node */
#define I     (N*G)
#define TTL   2                /* ticks of a lease */
#define GRACE 1                /* ticks from a deadline to a declaration */
#define SKEW  1                /* how far the clock of the channel's Redis is behind that of {nodes} */
#define FULL  (TTL+GRACE+1)
#define ENDED (GRACE+1)        /* less: past the deadline by the clock of {nodes} */
#ifndef QL
#define QL    6                /* messages on their way to one node */
#endif
#define NONE  255

/* Redis: {nodes} with what is left of each lease, {nodes}:reaping, {nodes}:<inc>:channels (this channel is listed),
 * p:{C}:u:* (owner: generation+1 of the entry's incarnation, 0 no entry), p:{C} (epoch 0: nothing), the users' 's'. */
bit  inN[I], inR[I], listed[I];
byte rem[I];
byte owner[3];
byte lin[3];                   /* ticks left + 1 of an entry that lingers, 0: its connection is there */
byte epoch, seq, epochs;
byte useq[3];
bit  stall;
bit  exempt;                   /* after a wipe or a stop an incarnation may be unknown while its lease is not over */

/* cluster/lease.go and presence/settle.go, by node. */
bit  alive[N], frozen[N], cut[N], lost[N], stopping[N];
bit  ill[N];                   /* was away so long that it may have been declared dead; until all is written again */
byte flying[N], ldec[N];       /* generation+1 of a heartbeat, of a declaration, that lands late and unheard */
byte gen[N], dl[N], hf[N];     /* generation; left of the known deadline; ticks held without doubt */
byte susp[N];                  /* tracker.go doubt: ticks left */
byte regin[N];                 /* own.go registration: generation+1 under which the channel is listed */

/* cluster/reaper.go, by node: 0 idle, 1 declare on its way, 2 list, 3 remove, 4 end. */
byte rp[N], rg[N], rt[N], rmk[N];

/* presence/own.go, by connection. want: 0 never, 1 tracked, 2 to be gone, 3 gone, 4 to linger, for the ticks in stay. done and
 * oin: what Redis confirmed (1 join, 2 leave, 4 linger), generation+1; was written in epoch le, and wle is that of the write
 * which landed. w*: the write under way; l*: one that its node does not wait for any more. */
byte want[3], done[3], oin[3], stay[3], le[3], wle[3];
byte wk[3], wg[3], wd[3], wa[3];
bit  wl[3];                    /* the write under way is of one that lingers */
byte lk[3], lg[3], ldl[3];
#define REG   1
#define JOIN  2
#define LEAVE 3
#define LINGER 4
#define OK      1
#define REFUSED 2
#define WENT    3              /* 'gone' */

/* presence/view.go, load.go, replica.go, by node: the subscription and its messages (epoch, seq, users concerned, all
 * their metas, connections gone; REAP among the users: a reaper's); phase; the replica; the snapshot being read.
 * hold: ticks left + 1, by connection. left and sl: tombstones.go, and what a snapshot learned of it. */
chan q[N] = [QL] of { byte, byte, byte, byte, byte };
bit  sub[N];
byte vp[N];
#define POS1  1                /* loading: position before */
#define PAGES 2
#define POS2  3                /* position after */
#define WAIT  4                /* for the changes up to End */
#define LIVE  5
byte vm[N], ve[N], vs[N], vb[N], vus[N*3], hold[N*3];
byte sm[N], se[N], ss[N], sn[N], sg[N], sus[N*3];
byte left[N], sl[N];
#define REAP 128
byte orph[N];                  /* audit.go orphans: ticks left + 1 */
#if MUTANT == PUBLISH_APART
chan apart[N] = [2] of { byte, byte, byte, byte, byte };
#endif

/* What is true of the clients, for the properties: here (mask) is who is in the channel as far as anybody may know;
 * each departure of a user allows one leave, each arrival one join, at each viewer. told: users whom a viewer's clients see. */
byte here, told[N], away[N*3], came[N*3];

byte crashes = CRASHES, freezes = FREEZES, wipes = WIPES, lates = LATES, breaks = BREAKS, losses = LOSSES, cuts = CUTS;
byte stalls = STALLS, stops = STOPS;

/* Scratch of single steps. */
hidden byte k, u, res, me, ms, mt, mm, mg, was, nxt, gone, touched, pick, okk;
