/* Rotation of identities (protocol.md, 6) among two nodes that both rotate, or (-DTHREE) one that rotates towards two
 * peers of which one may lag. Channels lose, duplicate and reorder; any node is killed at any step. A node's keys are
 * numbered in the order it makes them; what is on disk survives a kill.
 *
 * CONNECT  in every state each two nodes have keys that each holds and the other takes: a session is always possible.
 * THIEF    whoever holds a key that a peer has seen replaced gets no session with that peer, so it can appoint nobody.
 * DONE     when nothing more can happen, every rotation is over, and every peer knows the key in use.
 */
#ifdef THREE
#define N 3
#define LINK(i, j) ((i) == 0 || (j) == 0)
#define ROTATES(i) ((i) == 0)
#else
#define N 2
#define LINK(i, j) true
#define ROTATES(i) true
#endif
#ifndef ROTATIONS
#define ROTATIONS 2
#endif
#ifndef KILLS
#define KILLS 2
#endif
#ifndef LOSSES
#define LOSSES 2
#endif
#define AT(i, j) ((i) * N + (j))

mtype = { STATE, ACK }
/* To node j: kind, sender, the new key, the sender's key in the session */
#ifdef THREE
chan net[N] = [1] of { mtype, byte, byte, byte };
#else
chan net[N] = [2] of { mtype, byte, byte, byte };
#endif

/* On disk of node i: its key, the key that replaces it (0: none), and who has stored and who uses that. */
byte old[N]; byte new[N]; bool acked[N * N]; bool switched[N * N];
/* On disk of node i, of node j: key in use, accepted successor (0: none). The sequence is the key's number. */
byte cur[N * N]; byte pend[N * N];
/* In memory of node i: a session with j, and the keys it came from. */
bool up[N * N]; byte mine[N * N]; byte theirs[N * N];
byte rotations[N]; byte kills; byte losses;
bool calm;      /* no kills and no losses any more */

#ifdef THREE
#define ALL(i) (switched[AT(i, 0)] && switched[AT(i, 1)] && switched[AT(i, 2)])
#else
#define ALL(i) (switched[AT(i, 0)] && switched[AT(i, 1)])
#endif
#define HOLDS(i, k) ((k) != 0 && (old[i] == (k) || new[i] == (k)))
#ifdef BUG_KEEP_RETIRED
#define TAKES(j, i, k) ((k) != 0 && ((k) <= cur[AT(j, i)] || pend[AT(j, i)] == (k)))
#else
#define TAKES(j, i, k) ((k) != 0 && (cur[AT(j, i)] == (k) || pend[AT(j, i)] == (k)))
#endif
/* i holds a key that j takes */
#define KNOWN(i, j) (TAKES(j, i, old[i]) || TAKES(j, i, new[i]))
#define CONNECT(i, j) (!LINK(i, j) || (KNOWN(i, j) && KNOWN(j, i)))

inline put(c, m, i, k, s) { if :: nfull(c) -> c!m(i, k, s) :: full(c) fi }

/* Node x has heard node y under their session: what the keys say is now certain. */
inline heard(x, y) {
    if :: new[x] != 0 && mine[AT(x, y)] == new[x] -> acked[AT(x, y)] = true; switched[AT(x, y)] = true :: else fi;
    if :: pend[AT(x, y)] != 0 && theirs[AT(x, y)] == pend[AT(x, y)] -> cur[AT(x, y)] = pend[AT(x, y)]; pend[AT(x, y)] = 0 :: else fi
}

/* f calls t with key a, naming t's key b. The response, or the confirmation, may be lost. */
inline call(f, t, a, b) {
    if
    :: HOLDS(f, a) && TAKES(t, f, a) && HOLDS(t, b) && TAKES(f, t, b) ->
        if
        :: losses < LOSSES && !calm -> losses++ /* the response is lost */
        :: true ->
            up[AT(f, t)] = true; mine[AT(f, t)] = a; theirs[AT(f, t)] = b;
            if
            :: losses < LOSSES && !calm -> losses++; up[AT(t, f)] = false /* the first datagram is lost */
            :: true ->
                up[AT(t, f)] = true; mine[AT(t, f)] = b; theirs[AT(t, f)] = a;
                heard(t, f);
                if :: losses < LOSSES && !calm -> losses++ :: true -> heard(f, t) fi
            fi
        fi
    :: else
    fi
}

#define SESSION(i, j) (up[AT(i, j)] && up[AT(j, i)] && mine[AT(i, j)] == theirs[AT(j, i)] && theirs[AT(i, j)] == mine[AT(j, i)])
/* A reason to call: no session, one under a key that was erased since, or a new key that is stored and not used yet. */
#define STALE(i, j) (mine[AT(i, j)] != old[i] && mine[AT(i, j)] != new[i])
#define REASON(i, j) (!SESSION(i, j) || STALE(i, j) || (new[i] != 0 && acked[AT(i, j)] && !switched[AT(i, j)] && TAKES(j, i, new[i])) || (pend[AT(i, j)] != 0 && theirs[AT(i, j)] == pend[AT(i, j)]))

inline link(v, w) {
    if
    :: atomic { LINK(v, w) && REASON(v, w) -> 
        if
        :: call(v, w, old[v], cur[AT(v, w)])
        :: new[v] != 0 && acked[AT(v, w)] -> call(v, w, new[v], cur[AT(v, w)])
        :: pend[AT(v, w)] != 0 -> call(v, w, old[v], pend[AT(v, w)])
        :: new[v] != 0 && acked[AT(v, w)] && pend[AT(v, w)] != 0 -> call(v, w, new[v], pend[AT(v, w)])
        fi }
    /* The statement, said again until it is acknowledged. */
    :: atomic { LINK(v, w) && new[v] != 0 && !acked[AT(v, w)] && SESSION(v, w) && empty(net[w]) -> put(net[w], STATE, v, new[v], mine[AT(v, w)]) }
    fi
}

proctype node(byte i) {
    byte j, k, s;
end: do
    :: atomic { ROTATES(i) && new[i] == 0 && rotations[i] < ROTATIONS ->
        rotations[i]++; new[i] = old[i] + 1; j = 0;
        do :: j < N -> acked[AT(i, j)] = false; switched[AT(i, j)] = !LINK(i, j) || i == j; j++ :: else -> break od; j = 0 }
    :: link(i, (i + 1) % N)
#ifdef THREE
    :: link(i, (i + 2) % N)
#endif
    :: atomic { net[i]??STATE(j, k, s) ->
        if
        :: k == pend[AT(i, j)] || k == cur[AT(i, j)] -> put(net[j], ACK, i, k, s)
        :: s == cur[AT(i, j)] && k > cur[AT(i, j)] && pend[AT(i, j)] == 0 ->
#ifdef BUG_ACK_BEFORE_STORE
            put(net[j], ACK, i, k, s);
            if :: kills < KILLS && !calm -> kills++; goto killed :: true fi;
#endif
            pend[AT(i, j)] = k;
            if :: put(net[j], ACK, i, k, s) :: kills < KILLS && !calm -> kills++; goto killed fi
        :: else
        fi; j = 0; k = 0; s = 0 }
    :: atomic { net[i]??ACK(j, k, s) -> if :: k == new[i] -> acked[AT(i, j)] = true :: else fi; j = 0; k = 0; s = 0 }
    /* Every peer uses the new key: the old one is erased. */
    :: atomic { new[i] != 0 && ALL(i) -> old[i] = new[i]; new[i] = 0 }
#ifdef BUG_ERASE_EARLY
    :: atomic { new[i] != 0 -> old[i] = new[i]; new[i] = 0 }
#endif
    :: atomic { kills < KILLS && !calm -> kills++;
killed: k = 0; s = 0; j = 0; do :: j < N -> up[AT(i, j)] = false; up[AT(j, i)] = false; j++ :: else -> break od; j = 0 }
    od
}

active proctype weather() {
    mtype m; byte i, k, s;
end: do
    :: atomic { losses < LOSSES && !calm && nempty(net[0]) -> losses++; net[0]??m(i, k, s); m = 0; i = 0; k = 0; s = 0 }
    :: atomic { losses < LOSSES && !calm && nempty(net[0]) && nfull(net[0]) -> losses++; net[0] ?? <m(i, k, s)>; net[0]!m(i, k, s); m = 0; i = 0; k = 0; s = 0 }
    :: atomic { losses < LOSSES && !calm && nempty(net[1]) -> losses++; net[1]??m(i, k, s); m = 0; i = 0; k = 0; s = 0 }
    :: atomic { losses < LOSSES && !calm && nempty(net[1]) && nfull(net[1]) -> losses++; net[1] ?? <m(i, k, s)>; net[1]!m(i, k, s); m = 0; i = 0; k = 0; s = 0 }
#ifdef THREE
    :: atomic { losses < LOSSES && !calm && nempty(net[2]) -> losses++; net[2]??m(i, k, s); m = 0; i = 0; k = 0; s = 0 }
    :: atomic { losses < LOSSES && !calm && nempty(net[2]) && nfull(net[2]) -> losses++; net[2] ?? <m(i, k, s)>; net[2]!m(i, k, s); m = 0; i = 0; k = 0; s = 0 }
#endif
    od
}

#define OVER(i, j) (!LINK(i, j) || (cur[AT(j, i)] == old[i] && pend[AT(j, i)] == 0))

proctype watch() {
end: do
    :: atomic { !calm -> calm = true }
    :: atomic { !(CONNECT(0, 1)) -> assert(false) }
    /* A key that the peer has seen replaced, in a thief's hands. */
    :: atomic { cur[AT(1, 0)] > 1 && TAKES(1, 0, cur[AT(1, 0)] - 1) -> assert(false) }
    :: atomic { timeout -> assert(new[0] == 0 && new[1] == 0 && OVER(0, 1) && OVER(1, 0)) ; break }
#ifdef THREE
    :: atomic { !(CONNECT(0, 2)) -> assert(false) }
    :: atomic { cur[AT(2, 0)] > 1 && TAKES(2, 0, cur[AT(2, 0)] - 1) -> assert(false) }
#endif
    od
}

init {
    atomic {
        byte i = 0; byte j;
        do
        :: i < N -> old[i] = 1; j = 0;
            do :: j < N -> cur[AT(i, j)] = 1; j++ :: else -> break od; i++
        :: else -> break
        od;
        i = 0; j = 0;
        run watch(); run node(0); run node(1);
#ifdef THREE
        run node(2)
#endif
    }
}
