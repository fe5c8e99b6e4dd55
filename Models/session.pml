/* Sessions between two nodes (protocol.md, 2 and 4) over channels that lose, duplicate and reorder; either side is killed
 * at any step; an attacker says recorded initiations again from a place of his own. A handshake is named by the number
 * its responder drew; keys are perfect. Node 0 has the smaller static key.
 *
 * HELD     nobody receives under a pair that it let go: a pair is kept while the other may send under it.
 * PLACE    the endpoint of a peer is never the attacker's: it moves with transport data alone.
 * FRESH    no two handshakes give one pair (the same keys, and with them the same nonces).
 * COMMON   when nothing more can happen, both send under a pair that both hold.
 */
#ifndef KILLS
#define KILLS 1
#endif
#ifndef LOSSES
#define LOSSES 2
#endif
#ifndef REPLAYS
#define REPLAYS 1
#endif
#ifndef PAIRS
#define PAIRS 6
#endif

mtype = { INIT, RESP, DATA }
/* To node i: INIT(index of the initiator, timestamp, from the attacker), RESP(index, pair, -), DATA(pair, -, -) */
chan net[2] = [2] of { mtype, byte, byte, bit };

bit held[2 * PAIRS];    /* receives under it */
bit lost[2 * PAIRS];    /* a kill took it */
byte born[2 * PAIRS];   /* in the order of its life on this side */
bool confirmed[2 * PAIRS]; bool initiator[2 * PAIRS];
byte sending[2];        /* 0: none */
byte pending[2];        /* index of the outstanding initiation, 0: none */
bool young[2];          /* it is younger than a second */
byte stamp[2];          /* the last timestamp used: it rises over kills, from the state directory */
byte seen[2];           /* the greatest of a confirmed session; in memory */
byte named[2 * PAIRS];  /* timestamp of the initiation that a responder's pair came from */
bit moved[2];           /* the endpoint of the peer is the attacker's */
byte clock[2]; byte index = 1; byte pairs = 1;
byte recorded[2];       /* timestamp of an initiation of node i that the attacker has; its index was that too */
byte kills; byte losses; byte replays;
bool calm;              /* no kills, losses or replays any more */

#define AT(i, p) ((i) * PAIRS + (p))
#define put(i, m, a, b, c) if :: nfull(net[i]) -> net[i]!m(a, b, c) :: full(net[i]) fi
/* What the silence timer finds out in the end: the other does not hold what is sent under. */
#define ALONE(i) (sending[i] == 0 || !held[AT(1 - i, sending[i])])
/* A responder that never heard its initiator has nothing to send under, and neither side calls again by itself. */
#define REASON(i) (ALONE(i) || sending[1 - i] == 0)

/* An older pair that may go: the other does not send under it, and what it sent has come or never will (10 s of silence,
 * REJECT_AFTER_TIME). */
#define IDLE(i, p) ((p) < PAIRS && held[AT(i, p)] && p != sending[i] && (confirmed[AT(i, p)] || initiator[AT(i, p)]))
#ifdef BUG_LET_GO_EARLY
#define OLD(i, p) IDLE(i, p)
#else
#define OLD(i, p) (IDLE(i, p) && empty(net[i]) && sending[1 - i] != p)
#endif

proctype node(byte i) {
    byte a, b, p; bit c;
end: do
    /* Call: at the start, on traffic without a session, or again when nothing came. */
    :: atomic { REASON(i) && empty(net[0]) && empty(net[1]) && index < PAIRS && pairs < PAIRS ->
        stamp[i]++; pending[i] = index; index++; young[i] = true;
        recorded[i] = stamp[i];
        put(1 - i, INIT, pending[i], stamp[i], 0) }
    /* Renew, at any time, while numbers last for what comes after. */
    :: atomic { !REASON(i) && pending[i] == 0 && index < PAIRS - 2 && pairs < PAIRS - 2 ->
        stamp[i]++; pending[i] = index; index++; young[i] = true;
        recorded[i] = stamp[i];
        put(1 - i, INIT, pending[i], stamp[i], 0) }
    :: atomic { young[i] -> young[i] = false }
    :: atomic { net[i]??INIT(a, b, c) ->
        if
        :: b <= seen[i] || pairs >= PAIRS /* stale */
        /* Both at once: the smaller key's owner drops its own and answers, the other waits. */
        :: b > seen[i] && pairs < PAIRS && pending[i] != 0 && young[i] && i == 1
        :: b > seen[i] && pairs < PAIRS && !(pending[i] != 0 && young[i] && i == 1) ->
            pending[i] = 0; p = pairs; pairs++;
            assert(!held[AT(0, p)] && !held[AT(1, p)]);
            held[AT(i, p)] = 1; clock[i]++; born[AT(i, p)] = clock[i]; named[AT(i, p)] = b; initiator[AT(i, p)] = false;
#ifdef BUG_MOVE_ON_INITIATION
            moved[i] = c;
#endif
#ifdef BUG_SEND_UNCONFIRMED
            sending[i] = p;
#endif
            if :: c -> skip :: else -> put(1 - i, RESP, a, p, 0) fi
#ifdef BUG_SEND_UNCONFIRMED
            ; put(1 - i, DATA, p, 0, 0)
#endif
        fi; a = 0; b = 0; c = 0; p = 0 }
    :: atomic { net[i]??RESP(a, p, c) ->
        if
        :: a == pending[i] && a != 0 ->
            pending[i] = 0;
            held[AT(i, p)] = 1; clock[i]++; born[AT(i, p)] = clock[i]; initiator[AT(i, p)] = true;
            sending[i] = p; moved[i] = 0;
            put(1 - i, DATA, p, 0, 0)
        :: else
        fi; a = 0; p = 0 }
    /* Frames, keepalives, reports: whoever may send does, as long as the other has not heard it. */
    :: atomic { sending[i] != 0 && held[AT(1 - i, sending[i])] && !confirmed[AT(1 - i, sending[i])] && empty(net[1 - i]) ->
        put(1 - i, DATA, sending[i], 0, 0) }
    :: atomic { net[i]??DATA(p, b, c) ->
        assert(held[AT(i, p)] || lost[AT(i, p)]);
        if
        :: held[AT(i, p)] && !confirmed[AT(i, p)] ->
            confirmed[AT(i, p)] = true;
            if
            :: !initiator[AT(i, p)] ->
                if :: named[AT(i, p)] > seen[i] -> seen[i] = named[AT(i, p)] :: else fi;
                moved[i] = 0;
                if :: sending[i] == 0 || born[AT(i, p)] > born[AT(i, sending[i])] -> sending[i] = p :: else fi
            :: else
            fi
        :: else
        fi; p = 0; b = 0 }
    :: atomic { OLD(i, 1) -> held[AT(i, 1)] = 0 }
    :: atomic { OLD(i, 2) -> held[AT(i, 2)] = 0 }
    :: atomic { OLD(i, 3) -> held[AT(i, 3)] = 0 }
    :: atomic { OLD(i, 4) -> held[AT(i, 4)] = 0 }
#if PAIRS > 5
    :: atomic { OLD(i, 5) -> held[AT(i, 5)] = 0 }
#endif
#if PAIRS > 6
    :: atomic { OLD(i, 6) -> held[AT(i, 6)] = 0 }
#endif
    :: atomic { kills < KILLS && !calm -> kills++;
        p = 1;
        do
        :: p < PAIRS -> if :: held[AT(i, p)] -> lost[AT(i, p)] = 1 :: else fi; held[AT(i, p)] = 0; confirmed[AT(i, p)] = false; p++
        :: else -> break
        od;
        p = 0; sending[i] = 0; pending[i] = 0; young[i] = false; seen[i] = 0; moved[i] = 0 }
    od
}

proctype weather() {
    mtype m; byte a, b; bit c;
end: do
    :: atomic { losses < LOSSES && !calm && nempty(net[0]) -> losses++; net[0]??m(a, b, c); m = 0; a = 0; b = 0; c = 0 }
    :: atomic { losses < LOSSES && !calm && nempty(net[1]) -> losses++; net[1]??m(a, b, c); m = 0; a = 0; b = 0; c = 0 }
    :: atomic { losses < LOSSES && !calm && nempty(net[0]) && nfull(net[0]) -> losses++; net[0] ?? <m(a, b, c)>; net[0]!m(a, b, c); m = 0; a = 0; b = 0; c = 0 }
    :: atomic { losses < LOSSES && !calm && nempty(net[1]) && nfull(net[1]) -> losses++; net[1] ?? <m(a, b, c)>; net[1]!m(a, b, c); m = 0; a = 0; b = 0; c = 0 }
    :: atomic { replays < REPLAYS && !calm && recorded[0] != 0 && nfull(net[1]) -> replays++; net[1]!INIT(0, recorded[0], 1) }
    :: atomic { replays < REPLAYS && !calm && recorded[1] != 0 && nfull(net[0]) -> replays++; net[0]!INIT(0, recorded[1], 1) }
    od
}

proctype watch() {
end: do
    :: atomic { !calm -> calm = true }
    :: atomic { moved[0] || moved[1] -> assert(false) }
    :: atomic { timeout ->
        assert(index >= PAIRS || pairs >= PAIRS || (sending[0] != 0 && sending[1] != 0 && held[AT(1, sending[0])] && held[AT(0, sending[1])]));
        break }
    od
}

init { atomic { run watch(); run weather(); run node(0); run node(1) } }
