-- Whoever looks for traces that were left behind asks about minutes, and reads the settlements since then alone.
-- Writer: ingest.
ALTER TABLE settlements ADD INDEX IF NOT EXISTS through through TYPE minmax;
ALTER TABLE settlements MATERIALIZE INDEX through;
