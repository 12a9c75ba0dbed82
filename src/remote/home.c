#include "remote/internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STACK_BYTES = 256 << 10 };

static muster__worker workers[MUSTER__KINDS];

void muster__remote_register(enum muster__kind kind, muster__worker worker)
{
    workers[kind] = worker;
}

/* ---- stand-ins ---- */

struct standin {
    uint32_t number; /* its caller number here; 0: none */
    uint32_t incarnation;
    bool works, gone, died; /* gone, and perhaps dead, while it worked */
};

static struct {
    struct standin *of[1 << 15]; /* [host][caller] */
    uint32_t room[1 << 15];
} standins;

static uint32_t standin_member(int host, uint32_t caller)
{
    return MUSTER__STANDINS + (uint32_t)host * MUSTER__CALLERS_MAX + caller;
}

static struct standin *standin_at(int host, uint32_t caller)
{
    if (caller >= standins.room[host]) {
        uint32_t room = standins.room[host] ? standins.room[host] : 16;
        while (room <= caller)
            room *= 2;
        struct standin *wider = realloc(standins.of[host], room * sizeof *wider);
        if (!wider)
            return NULL;
        memset(wider + standins.room[host], 0, (room - standins.room[host]) * sizeof *wider);
        standins.of[host] = wider;
        standins.room[host] = room;
    }
    return &standins.of[host][caller];
}

/* Callers begin at 1: at 0 is who stands in for the host as a whole. */
enum { WHOLE_HOST = 0 };

bool muster__remote_is_host(uint32_t caller, int *host)
{
    uint32_t live = atomic_load(&muster__caller(caller)->live);
    if (live <= MUSTER__STANDINS || (live - 1) % MUSTER__CALLERS_MAX != WHOLE_HOST)
        return false;
    *host = (int)((live - 1 - MUSTER__STANDINS) / MUSTER__CALLERS_MAX);
    return *host < (int)(sizeof standins.room / sizeof *standins.room);
}

static void (*on_lost[MUSTER__KINDS])(int host);

void muster__remote_on_lost(enum muster__kind kind, void (*told)(int host))
{
    on_lost[kind] = told;
}

static void (*on_death)(uint32_t standin);

void muster__remote_on_death(void (*told)(uint32_t standin))
{
    on_death = told;
}

/* What it holds is treated as the holdings of one who died. */
static void standin_end(int host, uint32_t caller, struct standin *standin, bool died)
{
    if (died && on_death)
        on_death(standin->number);
    muster__sweep_member(standin_member(host, caller), muster__self_state.number);
    *standin = (struct standin){0};
}

static struct standin *standin_get(int host, uint32_t caller, uint32_t incarnation)
{
    struct standin *standin = standin_at(host, caller);
    if (!standin)
        return NULL;
    if (standin->number && standin->incarnation != incarnation)
        standin_end(host, caller, standin, false);
    if (!standin->number) {
        if (muster__caller_make(standin_member(host, caller), &standin->number))
            return NULL;
        standin->incarnation = incarnation;
    }
    return standin;
}

/* ---- work ---- */

struct job {
    struct job *next; /* in the crew's hands */
    struct job *kept; /* in the agent's list of those that are not answered yet */
    int host;
    uint64_t id;
    uint32_t caller, incarnation;
    bool anonymous;
    bool one_way; /* nobody waits for the answer */
    bool canceled;
    uint32_t seen;  /* of its stand-in's bell, when it was parked */
    uint32_t actor; /* as whom a thread of the crew does it now; 0: none does. Under crew.mutex */
    char *bytes;    /* that came along */
    bool arrives;   /* its bytes do, by themselves */
    bool ordered;   /* begins after those of its host that arrive when it comes */
    struct muster__work work;
    muster_err err;
    char text[REMOTE_TEXT];
};

static struct job *unanswered;

static struct job **job_link(int host, uint64_t id)
{
    struct job **link = &unanswered;
    while (*link && ((*link)->host != host || (*link)->id != id))
        link = &(*link)->kept;
    return link;
}

static void job_free(struct job *job)
{
    free(job->bytes);
    muster__heap_free(job->work.bytes_in, muster__self_state.number);
    muster__heap_free(job->work.reply_in, muster__self_state.number);
    free(job->work.reply);
    free(job);
}

static void job_freed(void *job)
{
    job_free(job);
}

static void send_then(const struct job *job)
{
    if (job->work.then)
        agent_note(job->host,
                   &(struct muster__call){
                       .object = job->work.object, .operation = job->work.then, .timeout_ms = MUSTER_FOREVER},
                   0);
}

static void tell_sent(const struct job *job)
{
    if (job->work.then && job->work.sent)
        job->work.sent(&job->work);
}

static void answer(struct job *job)
{
    struct job **link = &unanswered;
    while (*link != job)
        link = &(*link)->kept;
    *link = job->kept;
    if (job->one_way) {
        send_then(job);
        tell_sent(job);
        job_free(job);
        return;
    }
    struct frame frame = {.type = FRAME_ANSWER, .id = job->id};
    size_t size = job->err ? 0 : job->work.reply_size;
    frame.answer.err = job->err;
    frame.answer.object = job->work.object;
    frame.answer.then = job->work.then;
    frame.answer.free = muster__seats_free();
    frame.answer.number = job->work.number;
    frame.answer.reply_size = job->work.reply_size;
    frame.answer.size = size;
    const void *reply = job->work.reply_in ? muster__heap_at(job->work.reply_in) : job->work.reply;
    bool bulk = size > REMOTE_INLINE;
    agent_count(job->work.object, size);
    if (bulk)
        frame.answer.channel = agent_bulk(job->host, reply, size, job_freed, job);
    if (job->err)
        agent_send(job->host, &frame, job->text, strlen(job->text) + 1);
    else
        agent_send(job->host, &frame, reply, bulk ? 0 : size);
    tell_sent(job);
    if (!bulk)
        job_free(job);
}

static void refuse(struct job *job, muster_err err, const char *why)
{
    job->err = err;
    snprintf(job->text, sizeof job->text, "%s: %s", muster__host_name(), why);
    answer(job);
}

static bool would_wait(muster_err err)
{
    return err == MUSTER_ERR_BUSY || err == MUSTER_ERR_FULL || err == MUSTER_ERR_EMPTY || err == MUSTER_ERR_TIMEOUT;
}

static void call_worker(struct job *job)
{
    job->err = workers[job->work.object.kind_home >> 24](&job->work);
}

/* As its stand-in, or as the calling thread itself; the detail line is taken along. */
static void perform(struct job *job, int64_t timeout_ms)
{
    int64_t asked_ms = job->work.timeout_ms;
    job->work.timeout_ms = timeout_ms;
    if (job->anonymous) {
        job->work.self = muster__self_state.number;
        call_worker(job);
    } else {
        struct muster__self before = muster__caller_act(job->work.self);
        call_worker(job);
        muster__caller_rest(before);
    }
    job->work.timeout_ms = asked_ms;
    if (job->err)
        snprintf(job->text, sizeof job->text, "%s", muster_err_detail());
}

/* ---- threads for work that waits ---- */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t come;
    struct job *todo, *finished;
    int idle, threads;
    bool stop;
} crew = {.mutex = PTHREAD_MUTEX_INITIALIZER, .come = PTHREAD_COND_INITIALIZER};

static void *crew_main(void *unused)
{
    (void)unused;
    uint32_t self = muster__self_number();
    muster__thread_serves();
    pthread_mutex_lock(&crew.mutex);
    for (;;) {
        crew.idle++;
        muster__caller_blocks(true);
        while (!crew.todo && !crew.stop)
            pthread_cond_wait(&crew.come, &crew.mutex);
        muster__caller_blocks(false);
        crew.idle--;
        struct job *job = crew.todo;
        if (!job)
            break;
        crew.todo = job->next;
        uint32_t actor = job->actor = job->anonymous ? self : job->work.self;
        pthread_mutex_unlock(&crew.mutex);
        perform(job, job->work.timeout_ms);
        pthread_mutex_lock(&crew.mutex);
        job->actor = 0;
        atomic_store(&muster__caller(actor)->canceled, 0);
        job->next = crew.finished;
        crew.finished = job;
        muster__ring(atomic_load(&office()->agent));
    }
    crew.threads--;
    pthread_cond_broadcast(&crew.come);
    pthread_mutex_unlock(&crew.mutex);
    return NULL;
}

static bool crew_grow(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    bool made = pthread_create(&thread, &attributes, crew_main, NULL) == 0;
    pthread_attr_destroy(&attributes);
    crew.threads += made;
    return made;
}

static bool crew_take(struct job *job)
{
    pthread_mutex_lock(&crew.mutex);
    int queued = 0;
    for (struct job *other = crew.todo; other; other = other->next)
        queued++;
    bool taken = crew.idle > queued || crew_grow();
    if (taken) {
        struct job **end = &crew.todo;
        while (*end)
            end = &(*end)->next;
        job->next = NULL;
        *end = job;
        pthread_cond_signal(&crew.come);
    }
    pthread_mutex_unlock(&crew.mutex);
    return taken;
}

/* ---- what the agent is told ---- */

static void conclude(struct job *job)
{
    struct standin *standin = job->anonymous ? NULL : standin_at(job->host, job->caller);
    if (standin && standin->number == job->work.self) {
        standin->works = false;
        if (standin->gone)
            standin_end(job->host, job->caller, standin, standin->died);
    }
    answer(job);
}

/* ---- what is parked ---- */

static struct {
    int count;
    uint32_t seen; /* rings for stand-ins, so far */
} parking;

static uint32_t bell_of(const struct job *job)
{
    return atomic_load(&muster__caller(job->work.self)->bell);
}

static void unpark(struct job *job)
{
    parking.count--;
    job->work.parked = false;
    muster__remote_relay(job->work.self, false);
    conclude(job);
}

/* Rings between two tries are for the second. False: it is over. */
static bool try_parked(struct job *job)
{
    while (job->seen != bell_of(job)) {
        job->seen = bell_of(job);
        job->work.parks = false;
        perform(job, MUSTER_NOWAIT);
        if (!job->work.parks || !would_wait(job->err))
            return false;
    }
    return true;
}

/* From here on its stand-in's bell rings the agent's; it may have rung before. */
static void park(struct job *job, struct standin *standin, uint32_t seen)
{
    standin->works = true;
    job->work.parked = true;
    job->seen = seen;
    parking.count++;
    muster__remote_relay(job->work.self, true);
    if (!try_parked(job))
        unpark(job);
}

int home_try_parked(void)
{
    int count = 0;
    uint32_t rung = parking.count ? atomic_load(&muster__self_state.caller->relayed) : parking.seen;
    if (rung == parking.seen)
        return 0;
    parking.seen = rung;
    for (struct job *job = unanswered, *next; job; job = next) {
        next = job->kept;
        if (job->work.parked && !try_parked(job)) {
            unpark(job);
            count++;
        }
    }
    return count;
}

static void end_parked(void)
{
    for (struct job *job = unanswered, *next; job; job = next) {
        next = job->kept;
        if (!job->work.parked || !job->canceled)
            continue;
        job->work.ends = true;
        perform(job, MUSTER_NOWAIT);
        unpark(job);
    }
}

/* Whose operation it is; false: no memory. */
static bool take_identity(struct job *job, struct standin **standin)
{
    if (job->host != (int)muster__segment->host) {
        const struct standin *whole = standin_get(job->host, WHOLE_HOST, 0);
        if (!whole)
            return false;
        job->work.host_self = whole->number;
    }
    *standin = job->anonymous ? NULL : standin_get(job->host, job->caller, job->incarnation);
    if (*standin)
        job->work.self = (*standin)->number;
    return job->anonymous || *standin;
}

static void begin(struct job *job)
{
    struct standin *standin;
    uint32_t kind = job->work.object.kind_home >> 24;
    if (kind >= MUSTER__KINDS || !workers[kind]) {
        refuse(job, MUSTER_ERR_UNSUPPORTED, "this operation does not go between hosts");
        return;
    }
    job->work.reply = job->work.capacity ? malloc(job->work.capacity) : NULL;
    if (!take_identity(job, &standin) || (job->work.capacity && !job->work.reply)) {
        refuse(job, MUSTER_ERR_NOMEM, "no memory for an operation that another host asks for");
        return;
    }
    uint32_t seen = standin ? bell_of(job) : 0;
    perform(job, MUSTER_NOWAIT);
    if (job->work.timeout_ms == MUSTER_NOWAIT || job->work.settled || !would_wait(job->err)) {
        answer(job);
        return;
    }
    if (job->work.parks) {
        park(job, standin, seen);
        return;
    }
    if (standin)
        standin->works = true;
    if (crew_take(job))
        return;
    if (standin)
        standin->works = false;
    refuse(job, MUSTER_ERR_NOMEM, "no thread for an operation that another host waits for");
}

/* Older jobs are further down the list. */
static bool may_begin(const struct job *job)
{
    for (const struct job *older = job->kept; older && job->ordered; older = older->kept)
        if (older->host == job->host && older->arrives)
            return false;
    return true;
}

static void begin_ordered(int host)
{
    struct job *job = unanswered;
    while (job && !(job->ordered && job->host == host && may_begin(job)))
        job = job->kept;
    if (!job)
        return;
    job->ordered = false;
    begin(job);
    begin_ordered(host); /* the list has changed */
}

static void bytes_arrived(void *arg)
{
    struct job *job = arg;
    int host = job->host;
    job->arrives = false;
    if (job->work.bytes)
        begin(job);
    else
        refuse(job, MUSTER_ERR_NOMEM, "no room in the host segment for what another host sends");
    begin_ordered(host);
}

/* Much comes into a block of the segment, which the worker may keep. */
static void receive_bytes(struct job *job, uint32_t channel)
{
    uint32_t self = muster__self_state.number;
    job->arrives = true;
    job->work.bytes_in = muster__heap_alloc(job->work.size, self);
    if (job->work.bytes_in) {
        muster__heap_hand_over(job->work.bytes_in, self, MUSTER__REMOTE_OWNER);
        job->work.bytes = muster__heap_at(job->work.bytes_in);
    }
    muster__bulk_receive(job->host, channel, (void *)job->work.bytes, job->work.size, bytes_arrived, job);
}

void home_call(int host, const struct frame *frame, const void *payload)
{
    struct job *job = calloc(1, sizeof *job);
    MUSTER__CHECK_EQ(job != NULL, true);
    *job = (struct job){.kept = unanswered,
                        .host = host,
                        .id = frame->id,
                        .caller = frame->call.caller,
                        .incarnation = frame->call.incarnation,
                        .anonymous = frame->call.anonymous,
                        .one_way = frame->call.unanswered,
                        .ordered = frame->call.ordered,
                        .work = {.host = host,
                                 .object = frame->call.object,
                                 .operation = frame->call.operation,
                                 .timeout_ms = frame->call.timeout_ms,
                                 .size = frame->call.size,
                                 .capacity = frame->call.capacity}};
    unanswered = job;
    if (job->work.size > REMOTE_INLINE) {
        receive_bytes(job, frame->call.channel);
        return;
    }
    if (job->work.size) {
        job->work.bytes = job->bytes = malloc(job->work.size);
        MUSTER__CHECK_EQ(job->bytes != NULL, true);
        memcpy(job->bytes, payload, job->work.size);
    }
    if (!may_begin(job))
        return; /* see bytes_arrived */
    job->ordered = false;
    begin(job);
}

void home_then(int host, const struct frame *answer)
{
    struct frame frame = {.type = FRAME_CALL};
    if (!answer->answer.then)
        return;
    frame.call.object = answer->answer.object;
    frame.call.operation = answer->answer.then;
    frame.call.timeout_ms = MUSTER_FOREVER;
    frame.call.anonymous = frame.call.unanswered = true;
    home_call(host, &frame, NULL);
}

void home_note(const struct muster__call *call)
{
    struct muster__work work = {.object = call->object,
                                .operation = call->operation,
                                .timeout_ms = MUSTER_NOWAIT,
                                .self = muster__self_state.number,
                                .host = (int)muster__segment->host,
                                .bytes = call->bytes,
                                .size = call->size};
    workers[call->object.kind_home >> 24](&work);
}

/* Again at each look until it has come back. */
static void cancel_working(void)
{
    pthread_mutex_lock(&crew.mutex);
    for (struct job *job = unanswered; job; job = job->kept)
        if (job->canceled && job->actor)
            muster__caller_cancel(job->actor);
    pthread_mutex_unlock(&crew.mutex);
}

static void cancel_canceled(void)
{
    cancel_working();
    end_parked();
}

void home_lost(int host)
{
    for (struct job **link = &unanswered, *job; (job = *link);) {
        job->canceled |= job->host == host;
        if (job->host == host && job->arrives)
            *link = job->kept; /* its memory is not free: see muster__bulk_forget */
        else
            link = &job->kept;
    }
    for (uint32_t caller = 0; caller < standins.room[host]; caller++)
        if (standins.of[host][caller].number)
            home_gone(host, caller, standins.of[host][caller].incarnation, true);
    cancel_canceled();
    for (int kind = 0; kind < MUSTER__KINDS; kind++)
        if (on_lost[kind])
            on_lost[kind](host);
}

void home_cancel(int host, uint64_t id)
{
    struct job *job = *job_link(host, id);
    if (job)
        job->canceled = true;
    cancel_canceled();
}

void home_gone(int host, uint32_t caller, uint32_t incarnation, bool died)
{
    struct standin *standin = standin_at(host, caller);
    if (!standin || !standin->number || standin->incarnation != incarnation)
        return;
    if (standin->works) {
        standin->gone = true;
        standin->died = died;
        for (struct job *job = unanswered; job; job = job->kept)
            job->canceled |= !job->anonymous && job->work.self == standin->number;
        cancel_canceled();
    } else {
        standin_end(host, caller, standin, died);
    }
}

int home_answer_finished(void)
{
    pthread_mutex_lock(&crew.mutex);
    struct job *job = crew.finished;
    crew.finished = NULL;
    pthread_mutex_unlock(&crew.mutex);
    int count = 0;
    for (struct job *next; job; job = next, count++) {
        next = job->next;
        conclude(job);
    }
    cancel_working();
    return count;
}

static struct {
    pthread_t thread;
    bool runs;
} ender;

static void *end_objects(void *unused)
{
    (void)unused;
    muster__host_stop();
    return NULL;
}

void home_end_objects(void)
{
    if (ender.runs)
        return;
    if (pthread_create(&ender.thread, NULL, end_objects, NULL) != 0)
        muster__transport_abort(1); /* nobody would ever end */
    ender.runs = true;
}

void home_stop(void)
{
    if (ender.runs)
        pthread_join(ender.thread, NULL);
    ender.runs = false;
    pthread_mutex_lock(&crew.mutex);
    crew.stop = true;
    pthread_cond_broadcast(&crew.come);
    while (crew.threads)
        pthread_cond_wait(&crew.come, &crew.mutex);
    pthread_mutex_unlock(&crew.mutex);
}
