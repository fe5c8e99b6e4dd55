/* Rotation of a preshared key (protocol.md, 6): two nodes over channels that lose, duplicate and reorder, either side
 * killed at any step. Node 0 proposes, node 1 answers. Numbers stand for random bytes, and a key for the pair of numbers
 * it came from. What is on disk survives a kill; storing is one step, and what was to be sent after it may be lost.
 *
 * COMMON   in every state the two hold a generation with the same key, so a session is always possible.
 * DONE     when nothing more can happen and the channels have healed, both use the same generation.
 */
#ifndef ROTATIONS
#define ROTATIONS 2
#endif
#ifndef KILLS
#define KILLS 2
#endif
#ifndef LOSSES
#define LOSSES 3
#endif
#define NUMBERS 4

mtype = { PROPOSE, ANSWER, CONFIRM }
/* kind, generation, n_p, n_a; a confirmation carries both in the key it proves */
chan net0 = [2] of { mtype, byte, byte, byte };
chan net1 = [2] of { mtype, byte, byte, byte };

/* On disk: generation and key in use, and the numbers of the next one (0: none). */
byte gen[2]; byte key[2];
byte np[2]; byte na[2];
/* In memory. */
byte proposed;      /* node 0: n_p without an answer */
bool proven[2];     /* the other has shown that it stored the next key */
byte freshP = 1; byte freshA = 1;
byte rotations; byte kills; byte losses;
bool calm;      /* no kills and no losses any more */

#define KEY(p, a) ((p) * 8 + (a))
#define NEXT(i) KEY(np[i], na[i])
#define HAS(i, g, k) ((gen[i] == (g) && key[i] == (k)) || (np[i] != 0 && gen[i] + 1 == (g) && NEXT(i) == (k)))
#define COMMON (HAS(1, gen[0], key[0]) || (np[0] != 0 && HAS(1, gen[0] + 1, NEXT(0))))

/* The first confirmed session on generation g: whoever has it pending takes it into use and erases the one before. */
inline session(g, k) {
    if :: (np[0] != 0 && gen[0] + 1 == g && NEXT(0) == k) -> gen[0] = g; key[0] = k; np[0] = 0; na[0] = 0; proven[0] = false; proposed = 0
       :: else fi;
    if :: (np[1] != 0 && gen[1] + 1 == g && NEXT(1) == k) -> gen[1] = g; key[1] = k; np[1] = 0; na[1] = 0; proven[1] = false
       :: else fi
}

/* A confirmed session ends half-way when the last message is lost: one side has switched, the other not yet. */
inline halfSession(i, g, k) {
    if :: (np[i] != 0 && gen[i] + 1 == g && NEXT(i) == k) -> gen[i] = g; key[i] = k; np[i] = 0; na[i] = 0; proven[i] = false
       :: else fi
}

inline put(c, m, g, p, a) { if :: nfull(c) -> c!m(g, p, a) :: full(c) fi }

active proctype proposer() {
    byte g, p, a;
end: do
    :: atomic { rotations < ROTATIONS && proposed == 0 && np[0] == 0 && freshP < NUMBERS && gen[0] == rotations ->
        rotations++; proposed = freshP; freshP++; put(net1, PROPOSE, gen[0] + 1, proposed, 0) }
    /* It is said again until it is answered; after a kill the operator says it again. */
    :: atomic { proposed != 0 && np[0] == 0 && empty(net0) && empty(net1) -> put(net1, PROPOSE, gen[0] + 1, proposed, 0) }
    :: atomic { np[0] != 0 && !proven[0] && empty(net0) && empty(net1) ->
        put(net1, PROPOSE, gen[0] + 1, np[0], 0); put(net1, CONFIRM, gen[0] + 1, np[0], na[0]) }
    :: atomic { net0??ANSWER(g, p, a) ->
        if
        :: g == gen[0] + 1 && ((proposed != 0 && p == proposed) || (np[0] != 0 && p == np[0])) && !(np[0] == p && na[0] == a) && !proven[0] ->
#ifdef BUG_CONFIRM_BEFORE_STORE
            put(net1, CONFIRM, g, p, a);
            if :: kills < KILLS && !calm -> kills++; proposed = 0; proven[0] = false; goto next :: true fi;
#endif
            np[0] = p; na[0] = a; proposed = 0;
            put(net1, CONFIRM, g, p, a)
        :: g == gen[0] + 1 && np[0] == p && na[0] == a -> put(net1, CONFIRM, g, p, a)
        :: else
        fi }
    :: atomic { net0??CONFIRM(g, p, a) ->
        if :: g == gen[0] + 1 && np[0] == p && na[0] == a -> proven[0] = true :: else fi }
    /* Both have stored: call with the next generation. The last message of the handshake may be lost. */
    :: atomic { np[0] != 0 && proven[0] && HAS(1, gen[0] + 1, NEXT(0)) ->
        g = gen[0] + 1; a = NEXT(0);
        if :: session(g, a) :: losses < LOSSES && !calm -> losses++; halfSession(1, g, a) fi }
    :: atomic { kills < KILLS && !calm -> kills++; if :: proposed != 0 -> rotations-- :: else fi; proposed = 0; proven[0] = false }
next: skip
    od
}

active proctype answerer() {
    byte g, p, a;
end: do
    :: atomic { net1??PROPOSE(g, p, a) ->
        if
        :: g == gen[1] + 1 && np[1] == p && np[1] != 0 -> put(net0, ANSWER, g, p, na[1]); put(net0, CONFIRM, g, p, na[1])
        :: g == gen[1] + 1 && np[1] != p && !proven[1] && freshA < NUMBERS ->
            np[1] = p; na[1] = freshA; freshA++;
#ifdef BUG_SWITCH_ON_PROPOSAL
            gen[1] = g; key[1] = NEXT(1); np[1] = 0; break;
#endif
            if :: put(net0, ANSWER, g, p, na[1]); put(net0, CONFIRM, g, p, na[1])
               :: kills < KILLS && !calm -> kills++; proven[1] = false /* killed between the disk and the answer */
            fi
        :: else
        fi }
    :: atomic { net1??CONFIRM(g, p, a) ->
        if :: g == gen[1] + 1 && np[1] == p && na[1] == a -> proven[1] = true; put(net0, CONFIRM, g, p, a) :: else fi }
    /* A node that was left behind by a half session finds the other on the next generation. */
    :: atomic { np[1] != 0 && gen[0] == gen[1] + 1 && key[0] == NEXT(1) -> session(gen[0], key[0]) }
    :: atomic { np[0] != 0 && gen[1] == gen[0] + 1 && key[1] == NEXT(0) -> session(gen[1], key[1]) }
    :: atomic { kills < KILLS && !calm -> kills++; proven[1] = false }
    od
}

active proctype weather() {
    mtype m; byte g, p, a;
end: do
    :: atomic { losses < LOSSES && !calm && nempty(net0) -> losses++; net0??m(g, p, a) }
    :: atomic { losses < LOSSES && !calm && nempty(net1) -> losses++; net1??m(g, p, a) }
    :: atomic { losses < LOSSES && !calm && nempty(net0) && nfull(net0) -> losses++; net0 ?? <m(g, p, a)>; net0!m(g, p, a) }
    :: atomic { losses < LOSSES && !calm && nempty(net1) && nfull(net1) -> losses++; net1 ?? <m(g, p, a)>; net1!m(g, p, a) }
    od
}

active proctype watch() {
end: do
    :: atomic { !calm -> calm = true }
    :: atomic { !(COMMON) -> assert(false) }
    /* Nothing else can happen: every rotation that was begun is over on both sides, unless the numbers ran out. */
    :: atomic { timeout -> assert(COMMON && (freshP == NUMBERS || freshA == NUMBERS || (np[0] == 0 && np[1] == 0 && gen[0] == gen[1] && proposed == 0))); break }
    od
}
