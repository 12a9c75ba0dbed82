#include "remote/internal.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/*
 * The agent's thread: takes what callers have posted, packs frames into letters, gives what arrives to call.c and
 * home.c. After traffic it looks again and again for a while, since an answer is often on its way; then it sleeps on
 * its bell, which callers ring, and looks for mail each time it wakes: MPI has no bell.
 */

/* So long after the last traffic it begins to nap, each time for a part of the time without: what comes waits for
 * little more than that part. */
#define AWAKE_NS       100000
#define NAP_PART       100
#define NAP_NS         INT64_C(50000)
#define LONGEST_NAP_NS INT64_C(10000000)

#define HOG_NS    INT64_C(200000)
#define HOGGED_NS INT64_C(50000000)

/* Hosts tell rank 0's host that they live, and that tells them. Who is silent for MUSTER_PEER_LIMIT_MS is taken for
 * dead; before the first word it may take longer: connections are being made, and not all start at the same time. */
#define BEAT_NS  INT64_C(500000000)
#define START_NS INT64_C(60000000000)

enum { HUB = 0 };
enum { LEAVE = 1, LEAVE_POLITELY };

struct parcel {
    struct parcel *next;
    size_t size;
    _Alignas(8) unsigned char bytes[];
};

static struct {
    const struct muster__world *world;
    pthread_t thread;
    bool runs;
    struct peer {
        struct parcel *first, **last; /* whole frames, in order */
        uint32_t channels;            /* given out so far */
        int64_t heard_ns;
        bool heard; /* at all */
        bool lost;
        struct asked **open; /* calls that were sent there */
        uint32_t open_count, open_room;
    } * peers;
    int64_t beat_ns, limit_ns;
    uint64_t traffic;                  /* frames and chunks that came or went, but for beats */
    int woke;                          /* callers who were answered, in this look */
    int64_t hogged_until_ns;           /* whom it yielded to, kept the core: for so long that is expected again */
    _Atomic uint32_t meet, met, leave; /* asked by the rank, and done */
    _Alignas(8) unsigned char letter[MUSTER__LETTER_MAX];
} agent;

/* ---- sending ---- */

static struct peer *peer_at(int host)
{
    struct peer *peer = &agent.peers[host];
    if (!peer->last) {
        peer->last = &peer->first;
    }
    return peer;
}

static size_t round_up(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

void agent_send(int host, struct frame *frame, const void *payload, size_t size)
{
    struct peer *peer = peer_at(host);
    size_t bytes = round_up(sizeof *frame + size);
    if (peer->lost)
        return;
    agent.traffic += frame->type != FRAME_BEAT;
    struct parcel *parcel = malloc(sizeof *parcel + bytes);
    MUSTER__CHECK_EQ(parcel != NULL, true);
    frame->bytes = (uint32_t)bytes;
    parcel->next = NULL;
    parcel->size = bytes;
    memcpy(parcel->bytes, frame, sizeof *frame);
    if (size)
        memcpy(parcel->bytes + sizeof *frame, payload, size);
    *peer->last = parcel;
    peer->last = &parcel->next;
}

void agent_send_bytes(int host, struct frame *frame, const void *bytes, void (*done)(void *arg), void *arg)
{
    struct peer *peer = peer_at(host);
    if (frame->size > REMOTE_INLINE && !peer->lost) {
        frame->channel = ++peer->channels;
        muster__bulk_send(host, frame->channel, bytes, frame->size, done, arg);
        agent_send(host, frame, NULL, 0);
        return;
    }
    agent_send(host, frame, bytes, frame->size);
    done(arg);
}

static size_t pack_parcels(struct peer *peer)
{
    size_t filled = 0;
    for (struct parcel *parcel = peer->first; parcel && filled + parcel->size <= sizeof agent.letter;
         parcel = parcel->next) {
        memcpy(agent.letter + filled, parcel->bytes, parcel->size);
        filled += parcel->size;
    }
    return filled;
}

static void drop_parcels(struct peer *peer, size_t bytes)
{
    while (bytes) {
        struct parcel *parcel = peer->first;
        bytes -= parcel->size;
        peer->first = parcel->next;
        free(parcel);
    }
    if (!peer->first)
        peer->last = &peer->first;
}

static bool send_letter(int host, size_t size)
{
    if (!muster__mail_send(host, agent.letter, size))
        return false;
    muster__count_messages(muster__host_handle(agent.world->host, (enum muster__kind)MUSTER__COUNT_MAIL), 1, size);
    return true;
}

static bool send_some(int host)
{
    struct peer *peer = &agent.peers[host];
    bool any = false;
    while (peer->first) {
        size_t filled = pack_parcels(peer);
        if (!send_letter(host, filled))
            return any;
        drop_parcels(peer, filled);
        any = true;
    }
    return any;
}

static bool send_all(void)
{
    bool any = false;
    for (int host = 0; host < agent.world->hosts; host++)
        any |= send_some(host);
    return any;
}

static bool all_sent(void)
{
    for (int host = 0; host < agent.world->hosts; host++)
        if (agent.peers[host].first)
            return false;
    return !muster__bulk_under_way();
}

/* ---- what callers post ---- */

static void nothing(void *unused)
{
    (void)unused;
}

static void list_open(struct peer *peer, struct asked *asked)
{
    if (peer->open_count == peer->open_room) {
        peer->open_room = peer->open_room ? 2 * peer->open_room : 16;
        peer->open = realloc(peer->open, peer->open_room * sizeof(struct asked *));
        MUSTER__CHECK_EQ(peer->open != NULL, true);
    }
    asked->place = peer->open_count;
    peer->open[peer->open_count++] = asked;
}

void agent_call_ends(struct asked *asked)
{
    struct peer *peer = &agent.peers[asked->host];
    struct asked *last = peer->open[--peer->open_count];
    peer->open[asked->place] = last;
    last->place = asked->place;
}

void agent_count(muster_handle object, size_t size)
{
    muster__count_messages(object, size > REMOTE_INLINE ? 2 : 1, sizeof(struct frame) + size);
}

static void send_call(struct asked *asked)
{
    int host = asked->host;
    struct frame frame = {.type = FRAME_CALL,
                          .flags = (uint16_t)((asked->nowait ? CALL_NOWAIT : 0) | (asked->errand ? CALL_ERRAND : 0) |
                                              (asked->watches ? CALL_WATCH : 0)),
                          .id = asked->self,
                          .object = asked->object,
                          .size = asked->size,
                          .operation = asked->operation};
    memcpy(frame.call.in, asked->in, sizeof frame.call.in);
    frame.call.timeout_ms = asked->timeout_ms;
    frame.call.capacity = asked->capacity;
    frame.call.caller = asked->caller;
    frame.call.incarnation = asked->incarnation;
    if (host >= agent.world->hosts) {
        asked->err = MUSTER_ERR_STALE;
        snprintf(asked->text, sizeof asked->text, "this handle is of no host of the job");
        call_finish(asked);
        return;
    }
    if (agent.peers[host].lost) {
        call_lost(asked, host);
        return;
    }
    list_open(&agent.peers[host], asked);
    agent_count(asked->object, asked->size);
    agent_send_bytes(host, &frame, asked->bytes ? muster__heap_at(asked->bytes) : NULL, nothing, NULL);
}

static void send_to_others(struct frame *frame)
{
    for (int host = 0; host < agent.world->hosts; host++)
        if (host != agent.world->host)
            agent_send(host, frame, NULL, 0);
}

/* All but calls. */
static void send_word(struct asked *asked)
{
    struct frame frame = {.type = FRAME_STOP, .id = asked->canceled};
    if (asked->what == ASKED_NOTE) {
        note_send(asked);
    } else if (asked->what == ASKED_CANCEL) {
        frame.type = FRAME_CANCEL;
        agent_send(asked->host, &frame, NULL, 0);
    } else {
        if (asked->what == ASKED_GONE) {
            agent_asker_died(asked->caller, asked->incarnation);
            frame.type = FRAME_GONE;
            frame.gone.caller = asked->caller;
            frame.gone.incarnation = asked->incarnation;
            frame.gone.died = asked->died;
        }
        send_to_others(&frame);
    }
    muster__heap_free(asked->self, muster__self_state.number);
}

/* The outbox is a stack: turned around, so that who posted first goes first. */
static bool take_outbox(void)
{
    muster__ref ref = atomic_exchange(&office()->outbox, 0), turned = 0;
    bool any = ref != 0;
    while (ref) {
        struct asked *asked = muster__heap_at(ref);
        muster__ref next = asked->next;
        asked->next = turned;
        turned = ref;
        ref = next;
    }
    while (turned) {
        struct asked *asked = muster__heap_at(turned);
        turned = asked->next;
        if (asked->what == ASKED_CALL)
            send_call(asked);
        else
            send_word(asked);
    }
    return any;
}

void agent_asker_died(uint32_t caller, uint32_t incarnation)
{
    for (int host = 0; host < agent.world->hosts; host++)
        for (uint32_t i = 0; i < agent.peers[host].open_count; i++) {
            struct asked *asked = agent.peers[host].open[i];
            uint32_t open = ASKED;
            if (asked->caller == caller && asked->incarnation == incarnation)
                atomic_compare_exchange_strong(&asked->state, &open, ASKER_DIED);
        }
}

/* ---- who lives ---- */

static void drop_mail(struct peer *peer)
{
    for (struct parcel *parcel = peer->first, *next; parcel; parcel = next) {
        next = parcel->next;
        free(parcel);
    }
    peer->first = NULL;
}

static void (*on_lost[MUSTER__KINDS])(int host);

void muster__remote_on_lost(enum muster__kind kind, void (*told)(int host))
{
    on_lost[kind] = told;
}

/* Without rank 0's host nothing can go on. */
static void lose(int host)
{
    struct peer *peer = peer_at(host);
    if (peer->lost)
        return;
    peer->lost = true;
    atomic_store(&office()->host[host].lost, 1);
    atomic_store(&office()->lost_any, 1);
    office_note_free(host, INT32_MIN / 2);
    drop_mail(peer);
    muster__bulk_forget(host);
    for (uint32_t i = 0; i < peer->open_count; i++)
        call_lost(peer->open[i], host);
    peer->open_count = 0;
    call_own_lost(host);
    if (host == HUB) {
        muster__log(MUSTER__ERROR, "host %s, where rank 0 is, is gone: the job ends here, too",
                    muster__host_name_of(host));
        muster__transport_abort(1);
    }
    home_lost(host);
    for (int kind = 0; kind < MUSTER__KINDS; kind++)
        if (on_lost[kind])
            on_lost[kind](host);
}

static void silent(int host, int64_t for_ns)
{
    struct frame frame = {.type = FRAME_LOST, .lost.host = host};
    muster__log(MUSTER__ERROR, "host %s has not been heard of for %.1f s and is taken for dead (MUSTER_PEER_LIMIT_MS)",
                muster__host_name_of(host), (double)for_ns * 1e-9);
    lose(host);
    send_to_others(&frame);
}

static void listen_to(int host, int64_t now)
{
    struct frame frame = {.type = FRAME_BEAT};
    const struct peer *peer = &agent.peers[host];
    if (peer->lost)
        return;
    if (now - peer->heard_ns > (peer->heard ? agent.limit_ns : START_NS))
        silent(host, now - peer->heard_ns);
    else
        agent_send(host, &frame, NULL, 0);
}

/* If this thread itself did not run for long, the others' silence proves nothing. */
static void beat(void)
{
    int64_t now = muster__now_ns(), since = now - agent.beat_ns;
    if (since < BEAT_NS)
        return;
    agent.beat_ns = now;
    for (int host = 0; since > 3 * BEAT_NS && host < agent.world->hosts; host++)
        agent.peers[host].heard_ns = now;
    if (agent.world->host != HUB)
        listen_to(HUB, now);
    for (int host = 0; agent.world->host == HUB && host < agent.world->hosts; host++)
        if (host != HUB)
            listen_to(host, now);
}

/* ---- what arrives ---- */

static void take_frame(int host, const struct frame *frame, const void *payload)
{
    agent.traffic += frame->type != FRAME_BEAT;
    switch ((enum frame_type)frame->type) {
    case FRAME_CALL:
        held_or_done(host, frame, payload, home_call);
        break;
    case FRAME_ANSWER:
        office_note_free(host, frame->answer.free);
        held_or_done(host, frame, payload, call_answered);
        break;
    case FRAME_UNDO:
        held_or_done(host, frame, payload, home_undo);
        break;
    case FRAME_NOTE:
        held_or_done(host, frame, payload, note_taken);
        break;
    case FRAME_CANCEL:
        home_cancel(host, frame->id);
        break;
    case FRAME_GONE:
        home_gone(host, frame->gone.caller, frame->gone.incarnation, frame->gone.died);
        break;
    case FRAME_STOP:
        errand_end_objects();
        break;
    case FRAME_BEAT:
        break;
    case FRAME_LOST:
        lose(frame->lost.host);
        break;
    }
}

static void take_letter(int host, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    agent.peers[host].heard_ns = muster__now_ns();
    agent.peers[host].heard = true;
    while (size && !agent.peers[host].lost) {
        const struct frame *frame = (const void *)at;
        take_frame(host, frame, frame + 1);
        at += frame->bytes;
        size -= frame->bytes;
    }
}

/* ---- the thread ---- */

static bool hosts_lost(void)
{
    const struct office *box = office();
    return box && atomic_load(&box->lost_any);
}

static void (*on_look[4])(void);
static size_t lookers;

void muster__remote_on_look(void (*look)(void))
{
    MUSTER__CHECK_EQ(lookers < sizeof on_look / sizeof *on_look, true);
    on_look[lookers++] = look;
}

void muster__remote_relay(uint32_t caller, bool on)
{
    muster__caller_relay(caller, on ? atomic_load(&office()->agent) : 0);
}

static bool look(void)
{
    agent.woke = 0;
    beat();
    bool any = take_outbox();
    any |= muster__mail_poll(take_letter) > 0;
    if (muster__bulk_poll()) {
        agent.traffic++;
        any = true;
    }
    any |= held_try();
    any |= home_look();
    any |= errand_look();
    muster__catch_up();
    any |= send_all();
    for (size_t i = 0; i < lookers; i++)
        on_look[i]();
    if (atomic_load_explicit(&office()->outbox, memory_order_relaxed))
        any |= take_outbox();
    return any | send_all();
}

void agent_woke_caller(void)
{
    agent.woke++;
}

/* More want cores than there are, counting those who were woken just now. */
static bool crowded(void)
{
    return atomic_load_explicit(&muster__segment->awake, memory_order_relaxed) + agent.woke >
           (int32_t)atomic_load_explicit(&muster__segment->cores, memory_order_relaxed);
}

/*
 * Who has posted something is about to sleep: yielding gives him the core for that. Who was answered does not
 * get it so, and who wants it for longer keeps it until his slice is over, milliseconds. For these this thread sleeps,
 * and has the core again when it wakes.
 */
static void nap(uint32_t seen, int64_t idle_ns)
{
    bool full = crowded();
    int64_t now = muster__now_ns(), ns = idle_ns / NAP_PART;
    ns = ns < NAP_NS ? NAP_NS : ns < LONGEST_NAP_NS ? ns : LONGEST_NAP_NS;
    if (idle_ns >= AWAKE_NS || (full && (agent.woke || now < agent.hogged_until_ns))) {
        muster__sleep(&muster__self_state.caller->bell, seen, now + ns);
    } else {
        sched_yield();
        int64_t took = muster__now_ns() - now;
        if (full && took > HOG_NS)
            agent.hogged_until_ns = now + took + HOGGED_NS;
    }
}

/* Goes on with the mail until all agents have come to the same point; with a host lost they never will. */
static void meet_agents(void)
{
    bool met = muster__mail_all_met(true);
    while (!hosts_lost() && (!met || !all_sent())) {
        if (!look())
            nap(atomic_load(&muster__self_state.caller->bell), AWAKE_NS);
        met = met || muster__mail_all_met(false);
    }
}

static MUSTER__THREAD_LOCAL bool is_agent;

bool muster__is_agent(void)
{
    return is_agent;
}

/* Others hear of this host also while its agent cannot go on; what it does not hear meanwhile is nobody's silence. */
void agent_meanwhile(void)
{
    struct frame frame = {.type = FRAME_BEAT};
    int64_t now = muster__now_ns();
    for (int host = 0; host < agent.world->hosts; host++)
        agent.peers[host].heard_ns = now;
    if (now - agent.beat_ns < BEAT_NS)
        return;
    agent.beat_ns = now;
    for (int host = 0; host < agent.world->hosts; host++)
        if (host != agent.world->host && (host == HUB || agent.world->host == HUB))
            agent_send(host, &frame, NULL, 0);
    send_all();
}

static void *agent_main(void *unused)
{
    (void)unused;
    is_agent = true;
    muster__thread_serves();
    if (muster__caller_enter(muster__member_self(), false) != MUSTER_OK)
        muster__transport_abort(1);
    muster__hurry(true);
    muster__latch_meanwhile = agent_meanwhile;
    atomic_store(&office()->agent, muster__self_state.number);
    int64_t traffic_ns = agent.beat_ns = muster__now_ns();
    uint64_t traffic = 0;
    for (int host = 0; host < agent.world->hosts; host++)
        agent.peers[host].heard_ns = traffic_ns;
    while (!atomic_load(&agent.leave)) {
        uint32_t seen = atomic_load(&muster__self_state.caller->bell);
        if (atomic_load(&agent.meet) != atomic_load(&agent.met)) {
            meet_agents();
            atomic_fetch_add(&agent.met, 1);
            muster__futex_wake(&agent.met, -1);
        }
        bool any = look();
        if (agent.traffic != traffic)
            traffic_ns = muster__now_ns();
        traffic = agent.traffic;
        if (!any || agent.woke)
            nap(seen, muster__now_ns() - traffic_ns);
    }
    errand_stop();
    while (atomic_load(&agent.leave) == LEAVE_POLITELY && (errand_look() | home_look() | send_all()))
        ;
    if (atomic_load(&agent.leave) == LEAVE_POLITELY)
        meet_agents();
    muster__caller_leave();
    return NULL;
}

/* ---- what the rank asks for ---- */

static muster_err hosts_start(const struct muster__world *world)
{
    if (world->hosts == 1)
        return MUSTER_OK;
    muster_err err = muster__mail_start(world);
    if (err || world->local)
        return err;
    agent.world = world;
    agent.limit_ns = muster__setting(MUSTER__SET_PEER_LIMIT_MS) * 1000000;
    err = office_make(world);
    if (err)
        return err;
    agent.peers = calloc((size_t)world->hosts, sizeof *agent.peers);
    if (!agent.peers)
        return muster__fail_logged(MUSTER_ERR_NOMEM, "out of memory at start");
    if (pthread_create(&agent.thread, NULL, agent_main, NULL) != 0)
        return muster__fail_logged(MUSTER_ERR_SYSTEM, "the agent's thread cannot be made");
    agent.runs = true;
    return MUSTER_OK;
}

static void hosts_meet(void)
{
    if (!agent.runs)
        return;
    uint32_t met = atomic_load(&agent.met);
    atomic_fetch_add(&agent.meet, 1);
    muster__ring(atomic_load(&office()->agent));
    while (atomic_load(&agent.met) == met)
        muster__sleep(&agent.met, met, MUSTER__NEVER);
}

static void hosts_stop_others(void)
{
    uint32_t self = muster__self_number();
    struct asked *asked = agent.runs ? asked_make(ASKED_STOP, self) : NULL;
    if (asked)
        asked_post(asked, self);
}

static void hosts_leave(bool politely)
{
    if (!agent.runs)
        return;
    agent.runs = false;
    atomic_store(&agent.leave, politely ? LEAVE_POLITELY : LEAVE);
    muster__ring(atomic_load(&office()->agent));
    pthread_join(agent.thread, NULL);
    if (!politely || hosts_lost())
        return;
    muster__mail_stop();
    for (int host = 0; host < agent.world->hosts; host++)
        free(agent.peers[host].open);
    free(agent.peers);
}

const struct muster__hosts agent_hosts = {hosts_start, hosts_meet, hosts_stop_others, hosts_leave, hosts_lost};
