"""What databases of older schemas held: statements that fill the tables each revision brought, and what must be true after
each migration of them."""

from __future__ import annotations

FILLED: dict[str, list[str]] = {
    "0001": [
        "INSERT INTO people (id, name, created_at_s) VALUES ('ann', 'Ann', 1), ('bob', 'Bob', 2)",
        "INSERT INTO api_keys (sha256, person_id, created_at_s) VALUES ('ab', 'ann', 1)",
        "INSERT INTO conversations (id, person_id, created_at_s) VALUES ('c1', 'ann', 10), ('c2', 'bob', 20)",
        "INSERT INTO messages (id, conversation_id, parent_id, role, content, status, created_at_s, prompt_token_ids, token_ids) "
        "VALUES ('z', 'c1', NULL, 'user', 'hello', 'complete', 11, '[]', '[]')",
        "INSERT INTO messages (id, conversation_id, parent_id, role, content, status, created_at_s, adapter, engine_model, "
        "prompt_token_ids, token_ids, finish_reason, first_token_ms, latency_ms) "
        "VALUES ('y', 'c1', 'z', 'assistant', 'hi', 'complete', 12, 'base', 'base', '[1,2]', '[3]', 'stop', 1.5, 2.5)",
        "INSERT INTO messages (id, conversation_id, parent_id, role, content, status, created_at_s, prompt_token_ids, token_ids) "
        "VALUES ('x', 'c1', 'z', 'assistant', 'hi again', 'interrupted', 13, '[]', '[]')",
        "INSERT INTO feedback (id, message_id, person_id, kind, value, created_at_s, submission_id) "
        "VALUES ('f1', 'y', 'ann', 'thumb', '\"up\"', 14, 's1'), ('f2', 'y', 'ann', 'comment', '\"good\"', 15, 's1')",
        "INSERT INTO cycles (id, trigger, method, state, started_at_s, reasons, watermark) "
        "VALUES (1, 'operator', 'mixed', 'promoted', 30, '[]', 2)",
        "INSERT INTO stages (cycle_id, name, started_at_s, ended_at_s, output) VALUES (1, 'collect', 31, 32, '{}')",
        "INSERT INTO datasets (id, cycle_id, path, rows, created_at_s, dropped) "
        "VALUES ('d1', 1, 'cycles/1/dataset.jsonl', 1, 33, '{}')",
        "INSERT INTO dataset_rows (dataset_id, number, message_id, person_id, kind, split, weight) "
        "VALUES ('d1', 0, 'y', 'ann', 'thumb', 'train', 1)",
        "INSERT INTO adapters (name, sha256, path, state, created_at_s) VALUES ('base', '00', 'a/base', 'retired', 5)",
        "INSERT INTO adapters (name, parent, cycle_id, dataset_id, sha256, path, state, created_at_s) "
        "VALUES ('r1', 'base', 1, 'd1', '11', 'a/r1', 'live', 34)",
        "INSERT INTO evaluations (id, cycle_id, adapter, suite, suite_sha256, mean, created_at_s) "
        "VALUES (1, 1, 'r1', 'facts', 'ff', 1, 35)",
        "INSERT INTO scores (evaluation_id, item_id, value) VALUES (1, 'f-1', 1)",
        "INSERT INTO release (id, adapter, previous, actor, reason, created_at_s) VALUES (1, 'base', NULL, 'setup', 'new', 6)",
        "INSERT INTO release (id, adapter, previous, actor, reason, created_at_s) VALUES (2, 'r1', 'base', 'cycle', 'better', 36)",
        "INSERT INTO audit (id, actor, action, subject, detail, created_at_s) VALUES (1, 'setup', 'go_live', 'base', 'new', 6)",
    ],
    "0002": ["UPDATE people SET learn = FALSE WHERE id = 'bob'", "UPDATE conversations SET title = 'Greetings' WHERE id = 'c1'"],
    "0003": [
        "INSERT INTO erasures (id, created_at_s, counts, adapters, marks) VALUES ('e1', 40, '{}', '[]', '[]')",
    ],
    "0004": [
        "INSERT INTO leases (name, holder, expires_at_s) VALUES ('schedule', 'service-1', 50)",
        "INSERT INTO documents (id, kind, domain, language, source, licence, content, created_at_s) "
        "VALUES ('doc1', 'corpus', 'tea', 'en', 'a.txt', '', '\"Tea.\"', 51)",
        "INSERT INTO suites (sha256, name, version, kind, items, margin, veto, created_at_s) "
        "VALUES ('ff', 'facts', 1, 'choice', 1, 0.1, FALSE, 52)",
    ],
    "0005": [
        "INSERT INTO imports (id, source, layout, kind, records, added, skipped, started_at_s) "
        "VALUES ('i1', 'a.txt', 'text', 'corpus', 1, 1, 0, 53)",
        "INSERT INTO reviews (message_id, person_id, cycle_id, reason, cluster, held_at_s) VALUES ('y', 'ann', 1, 'new', '', 54)",
    ],
    "0007": [
        "INSERT INTO canaries "
        "(id, adapter, against, cycle_id, state, slot, started_at_s, stage_started_at_s, stage, since, reason) "
        "VALUES (1, 'r1', 'base', 1, 'promoted', 0, 55, 56, 1, 3, 'no loss')",
    ],
}

CHECKS: dict[str, dict[str, list[tuple[object, ...]]]] = {
    "0002": {
        "SELECT id, person_id, parent_id, content FROM messages ORDER BY position": [
            ("z", "ann", None, "hello"),
            ("y", "ann", "z", "hi"),
            ("x", "ann", "z", "hi again"),
        ],
        "SELECT token_ids, first_token_ms, adapter FROM messages WHERE id = 'y'": [("[3]", 1.5, "base")],
        "SELECT id, updated_at_s, title FROM conversations ORDER BY id": [("c1", 13.0, ""), ("c2", 20.0, "")],
        "SELECT count(*) FROM people WHERE learn": [(2,)],
    },
    "0003": {
        "SELECT name, parent, state, base_sha256, tainted_at_s FROM adapters ORDER BY position": [
            ("base", None, "retired", "", None),
            ("r1", "base", "live", "", None),
        ],
        "SELECT file_sha256 FROM datasets": [("d1",)],
    },
    "0004": {"SELECT count(*) FROM leases": [(0,)]},
    "0005": {
        "SELECT suites, recipe FROM datasets": [("{}", "{}")],
        "SELECT transformations, drop_reason FROM dataset_rows": [("[]", None)],
        "SELECT count(*) FROM imports": [(0,)],
    },
    "0006": {"SELECT id, method, watermark, corpus FROM cycles": [(1, "mixed", 2, "")]},
    "0007": {"SELECT count(*) FROM canaries": [(0,)]},
    "0010": {"SELECT count(*) FROM failures": [(0,)]},
    "0012": {
        "SELECT sha256, person_id, id, role, scopes, label, expires_at_s, revoked_at_s FROM api_keys": [
            ("ab", "ann", "key-ab", "person", "[]", "", None, None)
        ],
        "SELECT count(*) FROM sessions": [(0,)],
    },
    "0008": {"SELECT adapter, mean, digest FROM evaluations": [("r1", 1.0, "")]},
    "0009": {
        "SELECT adapter, state, stage FROM canaries": [("r1", "promoted", 1)],
        "SELECT count(*) FROM canary_steps": [(0,)],
    },
    "0013": {"SELECT count(*) FROM deliveries": [(0,)]},
}
