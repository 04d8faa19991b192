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
// 200. A recall is recorded before it acts and its outcome afterwards; one that a crash cut off is
// finished at the next start.
//
// # Concurrency
//
// Handlers keep no state between requests; what the configuration can change while running stands
// in one value that [Server.Reload] replaces as a whole. [Server.Serve] owns the listeners and waits for
// everything it started.
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
// acts on all that waits for approval because of it.
//
// # Recalls in the journal
//
// A recall is two observations, recall_requested and recall_outcome, whose evidence is JSON. They
// are about an id that stands for the UTC day of the recall and belongs to no message, so that one
// timeline per day lists the recalls. What happened to each message is in the message's own
// timeline; a recipient that was still moving is judged anew each time the recall is read.
//
// # Standards
//
// RFC 9110 (HTTP), RFC 9457 (problem details), RFC 6750 (bearer tokens), OpenAPI 3.1, and
// server-sent events as WHATWG HTML 9.2 has them.
//
// # Limits
//
// A request body is at most 1 MiB, except that of an imported log, which is read as a stream and has no
// bound; it is given up when nothing comes for 30 s. A recall covers at most 300 messages and 20,000 recipients. A
// proxy on this machine makes every client look like loopback: list no loopback network in
// status_networks then. The role user sees nothing yet. A back-test of limits is given up after ten
// minutes. The messages of a sender are found by envelope address: what an identity sends with another
// address is not counted there.
package web
