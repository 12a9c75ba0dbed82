/* SPDX-License-Identifier: BSD-3-Clause */
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

/*
 * With its workers at work on all cores a look is taken from one of them, and most mail is then for a pool's sake, of
 * carriers that ask before they need it: it naps until the next such mail is due, as the last ones came, and looks more
 * often from a little before that time on. What somebody waits for is not made to wait so: for some time after it the
 * naps are those of a host with a free core, and so they are at once when a core comes free.
 */
#define LONGEST_AHEAD_NS INT64_C(2000000)
#define WAITS_PART       20
#define SAME_NS          INT64_C(200000) /* what comes within this time came together */

#define HOG_NS    INT64_C(200000)
#define HOGGED_NS INT64_C(50000000)

/* Hosts tell rank 0's host that they live, and that tells them. Who is silent for MUSTER_PEER_LIMIT_MS is taken for
 * dead; before the first word it may take longer: connections are being made, and not all start at the same time. */
#define BEAT_NS  INT64_C(500000000)
#define HEARD_NS (3 * BEAT_NS) /* whoever lives is heard of within that */
#define START_NS INT64_C(60000000000)

enum { HUB = 0 };
enum { LEAVE = 1, LEAVE_POLITELY };

static struct {
    const struct muster__world *world;
    pthread_t thread;
    bool runs;
    struct peer {
        int64_t heard_ns;
        bool heard; /* at all */
        bool lost;
        uint64_t got; /* frames, but those of the watch */
    } * peers;
    int64_t beat_ns, limit_ns;
    int64_t stopped_ns;                /* for how long this host was stopped, where that was longer than the limit */
    muster__ref posted;                /* by callers, in order; not done yet */
    uint64_t traffic;                  /* frames and chunks that came, but for beats */
    int woke;                          /* callers who were answered, in this look */
    bool later;                        /* something was put off */
    int64_t waits_ns;                  /* when there was mail last that somebody waits for, here or there */
    int64_t ahead_ns, gap_ns;          /* when there was other mail last, and how long after the one before, usually */
    int64_t hogged_until_ns;           /* whom it yielded to, kept the core: for so long that is expected again */
    _Atomic uint32_t meet, met, leave; /* asked by the rank, and done */
    uint32_t meets;                    /* its caller number */
} agent;

/* ---- what callers post ---- */

/* All but calls. */
static void send_word(struct asked *asked)
{
    struct frame frame = {.type = FRAME_STOP, .id = asked->canceled};
    if (asked->what == ASKED_NOTE) {
        note_send(asked);
    } else if (asked->what == ASKED_CANCEL) {
        frame.type = FRAME_CANCEL;
        if (!open_called_off(asked->canceled))
            letter_send(asked->host, &frame, NULL, 0);
    } else {
        if (asked->what == ASKED_ROUNDS)
            frame = (struct frame){.type = FRAME_ROUNDS, .rounds = {(uint32_t)asked->in[0], asked->in[1] != 0}};
        letter_send_others(&frame);
    }
    muster__heap_free(asked->self, muster__self_state.number);
}

/* The outbox is a stack: turned around, so that who posted first goes first. */
static void gather_posted(void)
{
    muster__ref ref = atomic_exchange(&office()->outbox, 0), turned = 0, *end = &agent.posted;
    while (ref) {
        struct asked *asked = muster__heap_at(ref);
        muster__ref next = asked->next;
        asked->next = turned;
        turned = ref;
        ref = next;
    }
    while (*end)
        end = &((struct asked *)muster__heap_at(*end))->next;
    *end = turned;
}

static void send_posted(struct asked *asked)
{
    if (asked->what == ASKED_CALL)
        open_send(asked);
    else
        send_word(asked);
}

/* Sends those of what was posted, in order; the rest waits, in order. */
static void send_posted_if(bool (*goes)(const struct asked *asked, const bool *of), const bool *of)
{
    muster__ref *link = &agent.posted;
    gather_posted();
    while (*link) {
        struct asked *asked = muster__heap_at(*link);
        if (!goes(asked, of)) {
            link = &asked->next;
            continue;
        }
        *link = asked->next;
        send_posted(asked);
    }
}

/* What callers have this host's agent do may wait: it is no mail. */
static bool is_mail(const struct asked *asked, const bool *unused)
{
    (void)unused;
    return asked->what != ASKED_NOTE || asked->host != agent.world->host;
}

void muster__agent_posted_first(void)
{
    send_posted_if(is_mail, NULL);
}

/* ---- callers that have gone ---- */

/* What it has asked is known. False: a latch was busy; again later. */
static bool caller_has_gone(uint32_t number, bool died)
{
    struct muster__caller *caller = muster__caller(number);
    struct frame frame = {.type = FRAME_GONE};
    open_asker_gone(number);
    if (caller->asks) {
        frame.gone.caller = number;
        frame.gone.incarnation = caller->incarnation;
        frame.gone.died = died;
        letter_send_others(&frame);
        caller->asks = false; /* said */
    }
    if (atomic_load(&caller->calls) && !muster__heap_sweep_now(MUSTER__OWNER_CALLS + number, muster__self_state.number))
        return false;
    muster__caller_release(number);
    return true;
}

static bool is_gone(uint32_t number)
{
    uint32_t live = atomic_load(&muster__caller(number)->live);
    return live == (uint32_t)MUSTER__CALLER_LEFT || live == (uint32_t)MUSTER__CALLER_DIED;
}

static bool is_of(const struct asked *asked, const bool *callers)
{
    return callers[asked->caller];
}

/* What one has asked was posted before it went: it is taken between finding it and what follows. */
static bool tell_of_gone(void)
{
    uint32_t end = muster__callers_end(), count = 0;
    if (!atomic_load(&office()->gone))
        return false;
    atomic_store(&office()->gone, 0);
    bool *gone = calloc(MUSTER__CALLERS_MAX, sizeof *gone);
    MUSTER__CHECK_EQ(gone != NULL, true);
    for (uint32_t number = 1; number < end; number++)
        count += gone[number] = is_gone(number);
    send_posted_if(is_of, gone);
    for (uint32_t number = 1; number < end; number++) {
        bool died = atomic_load(&muster__caller(number)->live) == (uint32_t)MUSTER__CALLER_DIED;
        if (gone[number] && !caller_has_gone(number, died))
            atomic_store(&office()->gone, 1);
    }
    free(gone);
    return count > 0;
}

/* Who has posted something may know that another one has gone: others hear of that first. */
static bool take_outbox(void)
{
    gather_posted();
    bool any = tell_of_gone();
    any |= agent.posted != 0;
    while (agent.posted) {
        struct asked *asked = muster__heap_at(agent.posted);
        agent.posted = asked->next;
        send_posted(asked);
    }
    return any;
}

/* ---- who lives ---- */

static void (*on_lost[MUSTER__KINDS])(int host);

void muster__remote_on_lost(enum muster__kind kind, void (*told)(int host))
{
    on_lost[kind] = told;
}

/* Without rank 0's host nothing can go on. */
static void lose(int host)
{
    if (agent.peers[host].lost)
        return;
    agent.peers[host].lost = true;
    atomic_store(&office()->host[host].lost, 1);
    atomic_store(&office()->lost_any, 1);
    office_note_free(host, INT32_MIN / 2);
    letters_lost(host);
    muster__bulk_forget(host);
    open_lost(host);
    if (host == HUB) {
        muster__log(MUSTER__ERROR, "host %s, where rank 0 is, is gone: the job ends here, too",
                    muster__host_name_of(host));
        muster__transport_abort(1);
    }
    held_lost(host);
    home_lost(host);
    for (int kind = 0; kind < MUSTER__KINDS; kind++)
        if (on_lost[kind])
            on_lost[kind](host);
}

static void lose_for_all(int host)
{
    struct frame frame = {.type = FRAME_LOST, .lost.host = host};
    lose(host);
    letter_send_others(&frame);
}

/* The others have taken this host for dead meanwhile, and have given its work away. */
static void end_stopped(void)
{
    muster__log(
        MUSTER__ERROR,
        "this host was stopped for %.1f s, longer than others wait for a host (MUSTER_PEER_LIMIT_MS): they go on "
        "without it, and it ends here",
        (double)agent.stopped_ns * 1e-9);
    muster__host_end();
}

static void silent(int host, int64_t for_ns)
{
    if (host == HUB && agent.stopped_ns)
        end_stopped();
    muster__log(MUSTER__ERROR, "host %s has not been heard of for %.1f s and is taken for dead (MUSTER_PEER_LIMIT_MS)",
                muster__host_name_of(host), (double)for_ns * 1e-9);
    lose_for_all(host);
}

static const struct muster__agents_watch *watch;

void muster__agents_watch(const struct muster__agents_watch *registered)
{
    watch = registered;
}

void muster__watch_send(int host, uint32_t what, uint64_t number, void *bytes, size_t size)
{
    struct frame frame = {.type = FRAME_WATCH, .id = number, .operation = what, .size = size};
    letter_send_bytes(host, &frame, bytes, free, bytes);
}

static muster_err watch_taken(int host, const struct frame *frame, const void *payload, muster__ref *block)
{
    (void)block;
    if (watch)
        watch->heard(host, frame->operation, frame->id, payload, frame->size);
    return MUSTER_OK;
}

static bool hands_are_empty(void)
{
    return letters_sent() && !held_any() && !home_tries_again() && !agent.later;
}

bool muster__agent_rests(uint64_t *sent, uint64_t *got)
{
    *sent = *got = 0;
    for (int host = 0; host < agent.world->hosts; host++)
        if (!agent.peers[host].lost) {
            *sent += letters_to(host);
            *got += agent.peers[host].got;
        }
    return hands_are_empty() && !atomic_load_explicit(&office()->outbox, memory_order_relaxed);
}

static void listen_to(int host, int64_t now)
{
    struct frame frame = {.type = FRAME_BEAT};
    if (watch)
        frame.beat.word = watch->tells();
    const struct peer *peer = &agent.peers[host];
    if (peer->lost)
        return;
    if (now - peer->heard_ns > (peer->heard ? agent.limit_ns : START_NS))
        silent(host, now - peer->heard_ns);
    else
        letter_send(host, &frame, NULL, 0);
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
    if (since > agent.limit_ns) { /* if rank 0's host has not given this one up, it is heard of soon */
        agent.stopped_ns = since;
        agent.peers[HUB].heard_ns -= agent.limit_ns - HEARD_NS;
    }
    if (agent.world->host != HUB)
        listen_to(HUB, now);
    for (int host = 0; agent.world->host == HUB && host < agent.world->hosts; host++)
        if (host != HUB)
            listen_to(host, now);
}

/* ---- what arrives ---- */

/* Sooner is believed faster than later. */
static void note_ahead(int64_t now)
{
    int64_t gap = now - agent.ahead_ns;
    if (gap < SAME_NS)
        return;
    agent.gap_ns += gap < agent.gap_ns ? (gap - agent.gap_ns) / 2 : (gap - agent.gap_ns) / 8;
    agent.ahead_ns = now;
}

static void note_mail(const struct frame *frame)
{
    if (frame_is_watchs(frame))
        return;
    if (frame->type == FRAME_CALL ? frame->flags & CALL_AHEAD
                                  : frame->type == FRAME_ANSWER && !open_is_awaited(frame->id))
        note_ahead(muster__now_ns());
    else
        agent.waits_ns = muster__now_ns();
}

static void take_frame(int host, const struct frame *frame, const void *payload)
{
    note_mail(frame);
    agent.traffic += frame->type != FRAME_BEAT;
    agent.peers[host].got += !frame_is_watchs(frame);
    switch ((enum frame_type)frame->type) {
    case FRAME_CALL:
        held_or_done(host, frame, payload, home_call);
        break;
    case FRAME_ANSWER:
        office_note_free(host, frame->answer.free);
        held_or_done(host, frame, payload, open_answered);
        break;
    case FRAME_UNDO:
        held_or_done(host, frame, payload, home_undo);
        break;
    case FRAME_TAKEN:
        held_or_done(host, frame, payload, home_taken);
        break;
    case FRAME_NOTE:
        held_or_done(host, frame, payload, note_taken);
        break;
    case FRAME_CANCEL:
        if (!home_cancel(host, frame->id))
            held_cancel(host, frame->id);
        break;
    case FRAME_GONE:
        home_gone(host, frame->gone.caller, frame->gone.incarnation, frame->gone.died);
        break;
    case FRAME_STOP:
        errand_end_objects();
        break;
    case FRAME_BEAT:
        if (watch)
            watch->told(host, frame->beat.word);
        break;
    case FRAME_WATCH:
        held_or_done(host, frame, payload, watch_taken);
        break;
    case FRAME_LOST:
        lose(frame->lost.host);
        break;
    case FRAME_ROUNDS:
        muster__rounds_end(frame->rounds.ended, frame->rounds.all);
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
        if (!wire_frame_fits(at, size, agent.world->hosts)) {
            muster__log(MUSTER__ERROR,
                        "host %s has sent what is no letter (its memory is broken, or it runs another "
                        "muster) and is taken for dead",
                        muster__host_name_of(host));
            lose_for_all(host);
            return;
        }
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
    agent.later = muster__catch_up();
    any |= letters_flush();
    for (size_t i = 0; i < lookers; i++)
        on_look[i]();
    if (atomic_load_explicit(&office()->outbox, memory_order_relaxed))
        any |= take_outbox();
    any |= letters_flush();
    agent.woke = open_woke();
    return any;
}

/* More want cores than there are, counting those who were woken just now. */
static bool crowded(void)
{
    return atomic_load_explicit(&muster__segment->awake, memory_order_relaxed) + agent.woke >
           (int32_t)atomic_load_explicit(&muster__segment->cores, memory_order_relaxed);
}

static int64_t within(int64_t ns, int64_t least, int64_t most)
{
    return ns < least ? least : ns < most ? ns : most;
}

/* How long nothing is expected that somebody waits for, nor other mail. */
static int64_t until_due(int64_t now)
{
    if (open_awaited() || !hands_are_empty())
        agent.waits_ns = now;
    int64_t since = now - agent.ahead_ns, due = agent.gap_ns - agent.gap_ns / 8;
    int64_t fine = agent.gap_ns / 32, late = (since - due) / 2;
    int64_t ns = since < due ? due - since : late > fine ? late : fine;
    return within(ns, 0, within((now - agent.waits_ns) / WAITS_PART, 0, LONGEST_AHEAD_NS));
}

/*
 * Who has posted something is about to sleep: yielding gives him the core for that. Who was answered does not
 * get it so, and who wants it for longer keeps it until his slice is over, milliseconds. For these this thread sleeps,
 * and has the core again when it wakes.
 */
static void nap(uint32_t seen, int64_t idle_ns)
{
    bool full = crowded();
    int64_t now = muster__now_ns(), ns = within(idle_ns / NAP_PART, NAP_NS, LONGEST_NAP_NS);
    int64_t ahead = full ? until_due(now) : 0;
    if (ahead > ns) {
        if (!muster__spare_cores(true))
            muster__sleep(&muster__self_state.caller->bell, seen, now + ahead);
        muster__spare_cores(false);
    } else if (idle_ns >= AWAKE_NS || (full && (agent.woke || now < agent.hogged_until_ns))) {
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
    while (!hosts_lost() && (!met || !letters_sent())) {
        agent.waits_ns = muster__now_ns();
        if (!look())
            nap(atomic_load(&muster__self_state.caller->bell), AWAKE_NS);
        met = met || muster__mail_all_met(false);
    }
}

/* Others hear of this host also while its agent cannot go on; what it does not hear meanwhile is nobody's silence. */
static void meanwhile(void)
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
            letter_send(host, &frame, NULL, 0);
    letters_flush();
}

/* Looks at all of it, whatever the first has. */
static bool work_is_left(void)
{
    bool any = errand_look();
    any |= home_look();
    any |= letters_flush();
    return any;
}

static void *agent_main(void *unused)
{
    (void)unused;
    muster__thread_serves();
    if (muster__caller_enter(muster__member_self(), false) != MUSTER_OK)
        muster__transport_abort(1);
    muster__caller_serves();
    muster__hurry(true);
    muster__latch_meanwhile = meanwhile;
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
            muster__ring(agent.meets);
        }
        bool any = look();
        if (agent.traffic + letters_traffic() != traffic)
            traffic_ns = muster__now_ns();
        traffic = agent.traffic + letters_traffic();
        if (!any || agent.woke)
            nap(seen, muster__now_ns() - traffic_ns);
    }
    errand_stop();
    while (atomic_load(&agent.leave) == LEAVE_POLITELY && work_is_left())
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
    if (!agent.peers || letters_start(world) || open_start(world->hosts))
        return muster__fail_logged(MUSTER_ERR_NOMEM, "out of memory at start");
    if (pthread_create(&agent.thread, NULL, agent_main, NULL) != 0)
        return muster__fail_logged(MUSTER_ERR_SYSTEM, "the agent's thread cannot be made");
    agent.runs = true;
    return MUSTER_OK;
}

static bool hosts_meet(bool begin)
{
    if (!agent.runs)
        return true;
    if (begin) {
        agent.meets = muster__self_number();
        atomic_fetch_add(&agent.meet, 1);
        muster__ring(atomic_load(&office()->agent));
    }
    return atomic_load(&agent.met) == atomic_load(&agent.meet);
}

static bool hosts_end_rounds(uint32_t ended, bool all)
{
    uint32_t self = muster__self_number();
    struct asked *asked = agent.runs ? asked_make(ASKED_ROUNDS, self) : NULL;
    if (!asked)
        return !agent.runs;
    asked->in[0] = ended;
    asked->in[1] = all;
    asked_post(asked, self);
    return true;
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
    letters_stop();
    open_stop();
    free(agent.peers);
}

static const struct muster__hosts hosts = {hosts_start,       hosts_meet,  hosts_end_rounds,
                                           hosts_stop_others, hosts_leave, hosts_lost};

/* Callers that have asked other hosts for something have gone: what they hold there goes, too. */
static void callers_gone(void)
{
    struct office *box = office();
    if (!box)
        return;
    atomic_store(&box->gone, 1);
    muster__ring(atomic_load(&box->agent));
}

__attribute__((constructor)) static void set_hooks(void)
{
    muster__callers_gone = callers_gone;
    muster__hosts_register(&hosts);
}
