CREATE TABLE IF NOT EXISTS dpop_proofs (
    proof bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL,
    -- These are set in one row only, the marker, whose proof is empty.
    incarnation bytea,
    since bigint,
    server text,
    removed_until timestamptz
) WITH (
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.5,
    autovacuum_analyze_scale_factor = 0.5,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX IF NOT EXISTS dpop_proofs_expires_at ON dpop_proofs (expires_at);
