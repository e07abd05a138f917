-- What the holder of a bind says of it: when it changes, and each second. A row that is older than 3 s says nothing any more.
-- state: `able` takes work; `down`, `resting`, `paused` and `leaving` do not. excess: how much more fails or is late than is
-- usual for this bind, as a share; null while too little is known. tokens: submit_sm that the throttle would let out at once.
CREATE TABLE bind_state (
  bind smallint PRIMARY KEY,
  process bigint NOT NULL,
  fence bigint NOT NULL,
  state text NOT NULL,
  excess double precision,
  tokens integer NOT NULL,
  since bigint NOT NULL,
  at bigint NOT NULL
) WITH (fillfactor = 50);
