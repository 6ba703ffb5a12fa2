/* SPDX-License-Identifier: Apache-2.0 */
#include "store/schema.h"

/* Ids come from one counter for apps and history (kl_store_new_id); AUTOINCREMENT makes SQLite remember the
 * largest that ever was, also after its row went. */
static const char step_1[] =
    "CREATE TABLE meta ("
    "  key TEXT PRIMARY KEY NOT NULL,"
    "  value TEXT NOT NULL) STRICT, WITHOUT ROWID;"

    "CREATE TABLE apps ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  name TEXT NOT NULL UNIQUE,"
    "  target TEXT NOT NULL,"
    "  identity TEXT NOT NULL,"
    "  state TEXT NOT NULL,"
    "  removed INTEGER NOT NULL CHECK (removed IN (0, 1)),"
    "  created INTEGER NOT NULL) STRICT;"

    "CREATE TABLE inventory ("
    "  app INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,"
    "  key TEXT NOT NULL,"
    "  api_version TEXT NOT NULL,"
    "  kind TEXT NOT NULL,"
    "  namespace TEXT NOT NULL,"
    "  name TEXT NOT NULL,"
    "  status INTEGER NOT NULL CHECK (status BETWEEN 1 AND 5),"
    "  schema_version INTEGER NOT NULL,"
    "  attributes TEXT NOT NULL,"
    "  directives TEXT NOT NULL,"
    "  dependencies TEXT NOT NULL,"
    "  last_good TEXT NOT NULL,"
    "  last_bad TEXT NOT NULL,"
    "  updated INTEGER NOT NULL,"
    "  PRIMARY KEY (app, key)) STRICT;"

    "CREATE TABLE claims ("
    "  claim TEXT PRIMARY KEY NOT NULL,"
    "  app INTEGER NOT NULL,"
    "  key TEXT NOT NULL,"
    "  FOREIGN KEY (app, key) REFERENCES inventory (app, key) ON DELETE CASCADE) STRICT, WITHOUT ROWID;"
    "CREATE INDEX claims_by_record ON claims (app, key);"

    "CREATE TABLE sources ("
    "  name TEXT PRIMARY KEY NOT NULL,"
    "  state TEXT NOT NULL) STRICT;"

    "CREATE TABLE asked ("
    "  app INTEGER PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,"
    "  commit_id TEXT NOT NULL,"
    "  artifact TEXT NOT NULL,"
    "  answers BLOB NOT NULL) STRICT;"

    "CREATE TABLE artifacts ("
    "  key TEXT PRIMARY KEY NOT NULL,"
    "  app INTEGER REFERENCES apps (id) ON DELETE CASCADE,"
    "  size INTEGER NOT NULL,"
    "  created INTEGER NOT NULL,"
    "  used INTEGER NOT NULL," /* microseconds, each use later than all before */
    "  content BLOB NOT NULL) STRICT;"
    "CREATE INDEX artifacts_by_app ON artifacts (app);"
    "CREATE INDEX artifacts_by_use ON artifacts (used, size);"

    "CREATE TABLE history ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  app INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,"
    "  started INTEGER NOT NULL,"
    "  finished INTEGER NOT NULL," /* 0: not yet */
    "  commit_id TEXT NOT NULL,"
    "  previous_commit TEXT NOT NULL,"
    "  author TEXT NOT NULL,"
    "  subject TEXT NOT NULL,"
    "  cause TEXT NOT NULL,"
    "  actor TEXT NOT NULL,"
    "  result TEXT NOT NULL,"
    "  reason TEXT NOT NULL,"
    "  counts TEXT NOT NULL,"
    "  plan_digest TEXT NOT NULL,"
    "  message TEXT NOT NULL,"
    "  summary TEXT NOT NULL) STRICT;"
    "CREATE INDEX history_by_app ON history (app, id);"
    "CREATE INDEX history_unfinished ON history (id) WHERE finished = 0;"

    "CREATE TABLE events ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  time INTEGER NOT NULL,"
    "  app INTEGER NOT NULL," /* 0: none; outlives the app */
    "  app_name TEXT NOT NULL,"
    "  kind TEXT NOT NULL,"
    "  actor TEXT NOT NULL,"
    "  commit_id TEXT NOT NULL,"
    "  author TEXT NOT NULL,"
    "  severity INTEGER NOT NULL,"
    "  message TEXT NOT NULL,"
    "  data TEXT NOT NULL) STRICT;"
    "CREATE INDEX events_by_app ON events (app, id);"
    "CREATE INDEX events_by_app_name ON events (app_name, id);"
    "CREATE INDEX events_by_kind ON events (kind, id);"
    "CREATE TRIGGER events_are_final BEFORE UPDATE ON events BEGIN"
    "  SELECT RAISE(ABORT, 'events are never changed'); END;"

    "CREATE TABLE approvals ("
    "  app INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,"
    "  plan_digest TEXT NOT NULL,"
    "  commit_id TEXT NOT NULL,"
    "  actor TEXT NOT NULL,"
    "  time INTEGER NOT NULL,"
    "  void INTEGER NOT NULL CHECK (void IN (0, 1)),"
    "  PRIMARY KEY (app, plan_digest)) STRICT;"

    "CREATE TABLE pairs ("
    "  key TEXT PRIMARY KEY NOT NULL,"
    "  value TEXT NOT NULL) STRICT;";

static const char *const steps[] = { step_1 };

const struct kl_schema kl_schema_current = { steps, sizeof(steps) / sizeof(steps[0]) };
