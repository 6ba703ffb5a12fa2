/* SPDX-License-Identifier: Apache-2.0 */
/* api_private.h: what the files of the API share. */
#ifndef KL_DAEMON_API_PRIVATE_H
#define KL_DAEMON_API_PRIVATE_H

#include "daemon/api.h"
#include "daemon/pass.h"

/* A request that is answered later. It is on the API's list until it is answered or gone; a callback of the
 * store or of a pass that comes afterwards finds `request` NULL, and frees it with kl_wait_free. */
struct kl_wait {
    struct kl_wait *previous, *next;
    struct kl_api *api;
    struct kl_request *request; /* NULL: gone */
    unsigned callbacks;         /* that hold this wait */
    char *app;                  /* its name, or NULL */
    /* Looked at when the revision moved; answers the request and returns true, or returns false. */
    bool (*ready)(struct kl_wait *wait, bool late);
    int64_t revision;
    uint64_t pass; /* the pass that must have ended */
    int64_t timeout_ns;
    struct kl_wish wish;
    bool flag;      /* the handler's own */
    char text[128]; /* likewise */
    struct kl_commit commit;
    bool stream; /* an event stream that follows */
    int64_t last_event;
    char kinds[256];
};

struct kl_api {
    struct kl_engine *engine;
    struct kl_wait *waits;
    uv_async_t *moved; /* the revision moved: look at the waits */
    uv_timer_t *pulse; /* keeps streams alive */
};

/* --- api.c ------------------------------------------------------------------------- */
/* Takes the request over until it is answered. NULL when memory is short: then it is answered. */
struct kl_wait *kl_wait_new(struct kl_api *api, struct kl_request *request, const struct kl_app_state *app);
/* A callback that is on its way holds the wait. */
void kl_wait_hold(struct kl_wait *wait);
/* That callback came: true when the request is still there. When not, the wait may be freed now. */
bool kl_wait_back(struct kl_wait *wait);
/* The request of the wait, which is over with this: to be answered at once. */
struct kl_request *kl_wait_take(struct kl_wait *wait);
/* Answers when `ready` says so, or when the time is up. true: it is answered already, and the wait is gone. */
bool kl_wait_until(struct kl_wait *wait, bool (*ready)(struct kl_wait *wait, bool late), int64_t timeout_ns);
/* The app of {app}; answers 404 with the nearest name and returns NULL otherwise. */
struct kl_app_state *kl_api_find_app(struct kl_api *api, struct kl_request *request);
/* "uid 1000 (ana)". */
void kl_api_actor(struct kl_request *request, char *text, size_t size);
/* Takes `after` (a name) and `limit` of a page. KILTER_E_INVALID: answered. */
int kl_api_page(struct kl_request *request, struct kilter_str *ret_after, int64_t *ret_limit);
int kl_api_page_id(struct kl_request *request, int64_t *ret_after, int64_t *ret_limit);
void kl_api_store_failed(struct kl_request *request, const struct kilter_error *err);

/* --- api_app.c, api_act.c ------------------------------------------------------------ */
int kl_api_app_routes(struct kl_api *api, struct kl_http *http);
int kl_api_act_routes(struct kl_api *api, struct kl_http *http);

/* --- api_show.c ------------------------------------------------------------------------ */
struct kilter_value *kl_show_app(struct kilter_arena *arena, const struct kl_app_state *app);
struct kilter_value *kl_show_source(struct kilter_arena *arena, const struct kl_source_state *source);
struct kilter_value *kl_show_commit(struct kilter_arena *arena, const struct kl_commit *commit);
struct kilter_value *kl_show_plan(struct kilter_arena *arena, const struct kl_app_state *app,
                                  const struct kl_plan *plan, const struct kl_decision *decision, int64_t made_ms,
                                  bool destroy);
struct kilter_value *kl_show_summary(struct kilter_arena *arena, const struct kl_plan *plan);
struct kilter_value *kl_show_resource(struct kilter_arena *arena, const struct kl_app_state *app,
                                      const struct kl_planned *planned);
struct kilter_value *kl_show_story(struct kilter_arena *arena, const struct kl_app_state *app,
                                   struct kilter_str resource);
struct kilter_value *kl_show_event(struct kilter_arena *arena, const struct kl_event_row *row);
/* "File/motd"; in the arena. */
struct kilter_str kl_show_id(struct kilter_arena *arena, const struct kilter_id *id);
/* Members of a map, left out when there is nothing to say. */
void kl_put(struct kilter_arena *arena, struct kilter_value *map, const char *key, const char *text);
void kl_put_str(struct kilter_arena *arena, struct kilter_value *map, const char *key, struct kilter_str text);
void kl_put_int(struct kilter_arena *arena, struct kilter_value *map, const char *key, int64_t number);
void kl_put_time(struct kilter_arena *arena, struct kilter_value *map, const char *key, int64_t wall_ms);
void kl_put_id(struct kilter_arena *arena, struct kilter_value *map, const struct kilter_id *id);

#endif
