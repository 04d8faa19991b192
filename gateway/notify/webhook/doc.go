// Package webhook tells people in chat rooms, and programs, what happened. A [Sender] posts a [Notice] of what
// people should know to the hooks that are configured for notices; [Subscribers] are posted every event of the
// journal.
//
// # Notices
//
//	json      our own JSON, for programs: see [Payload]
//	wecom     WeCom (企业微信) group robot, markdown
//	dingtalk  DingTalk (钉钉) group robot, markdown, signed when there is a secret
//	feishu    Feishu (飞书, Lark) custom bot, a card, signed when there is a secret
//	slack     Slack incoming webhook, blocks
//	teams     Microsoft Teams workflow "when a webhook request is received", an Adaptive Card
//
// A json hook with a secret carries two header fields by which the receiver knows us:
//
//	X-Sendgate-Timestamp  seconds since 1970
//	X-Sendgate-Signature  sha256=, and HMAC-SHA256 of timestamp, ".", body, in hexadecimal digits
//
// and always X-Sendgate-Delivery, which stays the same when a delivery is tried again.
//
// # Events
//
// A subscriber is posted each [Event] of the kinds that it wants, one in a request, as JSON with these fields of the
// header:
//
//	Content-Type          application/json; charset=utf-8
//	X-Sendgate-Event      the kind: held, released, bounced, relayed_remote, ... or test
//	X-Sendgate-Delivery   the id: BATCH.POSITION.INDEX
//	X-Sendgate-Timestamp  with a secret: seconds since 1970, of this request
//	X-Sendgate-Signature  with a secret: sha256=, and HMAC-SHA256 of timestamp, ".", body, in hexadecimal digits
//
//	{"id": "4711.0.1", "kind": "held", "time": "2026-03-01T09:00:00.120394Z", "node": "mail-gw", "timeline": "01M7...",
//	 "message": {"id": "01M7...", "message_id": "<1@corp.example>", "from": "alice@corp.example", "identity": "alice",
//	             "received": "2026-03-01T09:00:00.12Z", "direction": "outbound", "front": "relay"},
//	 "recipients": ["bob@x.example"], "actor": "smtp", "rule": "default", "until": "2026-03-01T09:01:00.12Z"}
//
// Events come at least once, those of one message in their order. Whoever needs each once remembers the ids it has
// seen: the same event always has the same. A receiver checks the signature, and refuses what is older or newer than
// five minutes, so that nobody can play an old request again. In Python:
//
//	def genuine(secret: bytes, headers, body: bytes) -> bool:
//	    stamp = headers["X-Sendgate-Timestamp"]
//	    want = "sha256=" + hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
//	    return abs(time.time() - int(stamp)) < 300 and hmac.compare_digest(want, headers["X-Sendgate-Signature"])
//
// Only an answer 2xx is success. 410 (gone) disables the subscriber until a person resumes it; everything else is
// tried again after 1 s, 2 s, ... 5 min, or when the receiver says (Retry-After, at most an hour), for as long as the
// journal keeps the events. They are read from there: a receiver that is away for days costs no memory. How far
// each was told is kept every second. Up to eight messages are told of at a time; the slowest of 64 events keeps the
// next 64 waiting, so that an event that a receiver never takes stops it: "resume" with skip goes on from now.
//
// # Pace
//
// Each hook has a queue of 100 notices. A notice replaces one of the same incident that still waits.
// Chat rooms take few messages a minute (WeCom and DingTalk 20, and DingTalk then shuts the door for
// ten): when more notices wait than there is room for in this minute, they go as one message that
// lists them. Programs get each notice by itself.
//
// # Trust
//
// Notices hold foreign text: subjects, addresses. For chat rooms it is made one line of clean UTF-8
// and cannot become markup, a link, or a call to everybody in the room; programs get it as it is. URLs
// of hooks are passwords: they are never logged, and neither is what a server answers, but for the
// code and text of the chat services, from which parts of the URL are taken out. TLS is required
// except to loopback, and certificates are checked. Redirects are not followed.
//
// # Failure
//
// [Sender.Notify] never waits. What cannot be delivered is tried again after 2 s, 4 s, ... 5 min, or
// when the server says (Retry-After), for an hour; then it is logged and given up, and so is at once
// what the server refuses for good. Of a full queue the least severe and oldest is dropped. What waits
// when the process ends gets one try within five seconds. Notices are not stored: the journal is the
// record.
//
// # Concurrency
//
// Notify may be called from any goroutine, before [Sender.Run] too. Run has one goroutine for each
// hook and waits for all of them; so has [Subscribers.Run], with up to nine more for each.
//
// # Standards
//
// RFC 2104 (HMAC), RFC 9110 10.2.3 (Retry-After), RFC 6585 4 (429); the message formats of the
// services as documented by them, Adaptive Cards 1.4. The proxy of the environment (HTTPS_PROXY) is
// used.
//
// # Limits
//
// Text is cut to what a service takes: WeCom 4096 octets, DingTalk and Feishu 20 kB, Slack 3000
// characters, Teams 28 kB. A robot that several programs share may meet its limit all the same. Chat
// messages are not edited: an update of an incident is a new message.
package webhook
