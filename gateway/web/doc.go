// Package web is the HTTP API under /api/v1, and what monitors ask: /healthz, /readyz, /metrics.
//
// The API is the only way in for people and programs: the command line speaks it, and a dashboard
// uses the same handlers. Its description in OpenAPI 3.1, made from the handlers, is at
// /api/v1/openapi.json. Answers are JSON in snake_case, times are RFC 3339 in UTC, errors are
// problem details with a code for programs and a detail for people.
//
// # Trust
//
// Every request is hostile until its token is known. Tokens are configured as SHA-256 hashes and
// compared in constant time. The unix socket asks for no token: the kernel names its peer
// (SO_PEERCRED), and only root and the user that sendgate runs as are let in, as administrators.
// An auditor looks, an operator acts, and only an administrator imports logs. To raise, replace or reset
// a limit, to suspend a sender, to stop a campaign or to allow one needs a reason. Who may look at messages may
// look at campaigns, with their subjects and texts.
// The probes are open to the configured networks, by default loopback. Foreign text (subjects,
// replies) leaves only as JSON strings; nothing of it is written into HTML. A text of an internal
// error goes to the log, never to the client.
//
// # Failure
//
// Whatever cannot be done is answered as a problem: 404 for what is not stored, 409 when somebody
// else decided first, 503 when the journal cannot be written. An act was done when it was answered
// 200. A recall is durable when its request is answered, and goes on whoever listens. What the rules of
// recalls do not allow is an answer with the status "unavailable" and a restriction, not a problem.
//
// # Concurrency
//
// Handlers keep no state between requests; what the configuration can change while running stands
// in one value that [Server.Reload] replaces as a whole. [Server.Serve] owns the listeners and waits for
// everything it started. Whoever watches the events is served by one feed (feed.go), which follows the journal once and
// encodes a record once; who does not keep up is dropped and can go on with the id of the last event. Live pieces of
// the overview, the list of messages and the alerts are made at most once a second for all who see the same
// (liveparts.go).
//
// # Recipients
//
// A message shows the recipients of its envelope, and under each group or alias the members that are
// known; a resend adds a row behind the one that it repeats. Those that other rows stand for are
// shown and not counted.
//
// # Limits and senders
//
// A sender in a path is the key of a limit with URL escapes: an identity ("alice%40corp.example"), or
// "from:", "to:", "dest:", "net:" and what follows, or "gateway:". What a person does to a sender is an event in
// the journal and a line in the log. The sentence of a finding is the one of the SMTP reply and of notices.
//
// # Campaigns
//
// A campaign is a set of near-duplicates. It is shown with up to six of its messages, each by its differences to
// the first, as far as bodies are kept. A decision about it is an event in the journal and a line in the log, and
// acts on all that waits for approval because of it. What was pulled back from a suspended sender is a batch,
// about which one act decides, too (pulledback.go).
//
// # Recalls
//
// The API hands requests to [Recalls] and shows its reports. Folders and evidence are for all who may look. Who
// of a group keeps the others from being taken back is named to administrators; others read how many, and
// group_member_blocked for each whose copy stays. The timeline of a message, though, has the evidence of every
// mailbox for all who may look at messages.
//
// # Reach
//
// Who may use an operation stands in one table (access.go), and a test goes through it with every role. What an
// operation names by its path, finds or lists is within the reach of who asks (reach.go), or it is answered as what
// there is not: a user has the mail that is counted for the own identity, people with domains have what these sent,
// whoever sent it, and only campaigns, recalls and alerts that are about nothing else. Numbers of the whole gateway
// and its rules are for all who look after mail. A user who releases own mail ends its hold, so that limits are asked.
//
// # Audit
//
// What is done, seen of bodies, refused to somebody known, and each sign-in is an entry of the audit log of the
// store, beside its line in the log. An act on many messages is one entry. A person is taken out of the audit log, and
// stays in the messages until retention deletes them.
//
// # Standards
//
// RFC 9110 (HTTP), RFC 9457 (problem details), RFC 6750 (bearer tokens), OpenAPI 3.1, and
// server-sent events as WHATWG HTML 9.2 has them.
//
// # Limits
//
// A request body is at most 1 MiB, except that of an imported log, which is read as a stream and has no
// bound; it is given up when nothing comes for 30 s. A request for a recall names and finds at most 20,000 messages. A
// proxy on this machine makes every client look like loopback: list no loopback network in
// status_networks then. A back-test of limits is given up after ten
// minutes. The messages of a sender are found by envelope address: what an identity sends with another
// address is not counted there.
package web
