package web

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const (
	apiPath     = "/api/v1"
	maxBody     = 1 << 20
	openAPIPath = apiPath + "/openapi.json"
)

// routes assembles everything that is answered. Whoever adds a path adds it here.
func (s *Server) routes() http.Handler {
	operations := http.NewServeMux()
	spec := s.register(operations)

	mux := http.NewServeMux()
	mux.Handle(apiPath+"/", s.gate(routed(operations)))
	mux.Handle("GET "+openAPIPath, spec)
	mux.Handle("GET /healthz", s.probeGate(http.HandlerFunc(s.health)))
	mux.Handle("GET /readyz", s.probeGate(http.HandlerFunc(s.readiness)))
	mux.Handle("GET /metrics", s.probeGate(s.metricsHandler()))
	mux.Handle("GET /s/{token}", s.statusPage())
	if s.desk == nil {
		mux.Handle("GET /{$}", http.HandlerFunc(frontPage))
		return s.throughProxies(guarded(routed(mux)))
	}
	mux.Handle("/", s.dashboard())
	return s.throughProxies(guarded(s.ownSite(routed(mux))))
}

// register adds the operations of the API and returns the handler of their description.
func (s *Server) register(mux *http.ServeMux) http.Handler {
	config := huma.DefaultConfig("sendgate", s.version)
	// huma's page of documentation loads scripts from a CDN; its description is encoded at the first
	// request, without a lock; its links add $schema to every answer. None of that is wanted.
	config.DocsPath, config.OpenAPIPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.Transformers = []huma.Transformer{explain}
	config.RejectUnknownQueryParameters = true
	config.Info.Description = "Look at outgoing mail, release it, hold it longer, take it back, send it again; see limits, change them for a while, approve what waits, decide about mailings."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "A token of the configuration. The unix socket needs none."},
	}
	config.Security = []map[string][]string{{"token": {}}}
	api := humago.New(mux, config)
	api.UseMiddleware(s.authorise)

	op := operations{registry: api.OpenAPI().Components.Schemas}
	publish(s, api, op.get("list-messages", "/messages", "List and search messages, newest first"), s.listMessages)
	publish(s, api, op.get("get-message", "/messages/{id}", "One message with its recipients and its timeline"), s.getMessage)
	publish(s, api, op.post("release-message", "/messages/{id}/release", "Let a held message go now"), s.releaseMessage)
	publish(s, api, op.post("hold-message", "/messages/{id}/hold", "Move the end of a hold"), s.holdMessage)
	publish(s, api, op.post("cancel-message", "/messages/{id}/cancel", "Take a message back before it has left"), s.cancelMessage)
	publish(s, api, op.post("resend-message", "/messages/{id}/resend", "Send a message again to recipients whom it did not reach"), s.resendMessage)
	publish(s, api, op.get("view-source", "/messages/{id}/source", "The header or the body of a message, as long as it is kept; needs the role admin, and is in the audit"), s.viewSource)
	s.registerRecalls(api, op)
	s.registerPeople(api, op)
	s.registerPolicy(api, op)
	s.registerCampaigns(api, op)
	s.registerAudit(api, op)
	s.registerEmergency(api, op)
	s.registerKeeping(api, op)
	s.registerWebhooks(api, op)
	publish(s, api, op.get("overview", "/overview", "Flow, states, queues, alerts, limits and health at a glance"), s.overview)
	publish(s, api, op.get("stats", "/stats", "What became of the mail of the last hours"), s.getStats)
	publish(s, api, op.get("tracking", "/tracking", "The logs that are followed, and how far"), s.getTracking)
	publish(s, api, op.upload("import-log", "/tracking/import", "Read a log of the past"), s.importLog)
	publish(s, api, op.events("events", "/events", "What happens, while it happens"), s.streamEvents)
	return describe(api.OpenAPI())
}

// registerEmergency adds the switches for emergencies.
func (s *Server) registerEmergency(api huma.API, op operations) {
	publish(s, api, op.get("get-bypass", "/bypass", "Whether the rules are bypassed"), s.getBypass)
	publish(s, api, op.post("start-bypass", "/bypass", "Bypass the rules for a while: nothing is held or refused by them, they go on counting; again moves its end; needs the role admin"), s.startBypass)
	publish(s, api, op.delete("end-bypass", "/bypass", "Put the rules in force again; needs the role admin"), s.endBypass)
	publish(s, api, op.get("get-drain", "/drain", "How far the gateway is emptied"), s.getDrain)
	publish(s, api, op.post("start-drain", "/drain", "Take no more mail, let go what is held, and end the process when nothing is left; needs the role admin"), s.startDrain)
	publish(s, api, op.delete("stop-drain", "/drain", "Take mail again, while the listeners are open; needs the role admin"), s.stopDrain)
}

// registerRecalls adds the operations about recalls.
func (s *Server) registerRecalls(api huma.API, op operations) {
	publish(s, api, op.recall("recall", "/recalls", "Take messages back, wherever they are within reach"), s.postRecall)
	publish(s, api, op.get("list-recalls", "/recalls", "Recalls, newest first"), s.listRecalls)
	publish(s, api, op.get("get-recall", "/recalls/{id}", "One recall with what it came to for each recipient"), s.getRecall)
	publish(s, api, op.post("cancel-recall", "/recalls/{id}/cancel", "End a recall; what it has taken stays taken"), s.cancelRecall)
	publish(s, api, op.post("approve-recall", "/recalls/{id}/approve", "Let a large recall begin, as a second person; needs the role admin"), s.approveRecall)
	publish(s, api, op.post("restore-recall", "/recalls/{id}/restore", "Put back what a recall has taken out of mailboxes"), s.restoreRecall)
	publish(s, api, op.recallEvents("recall-events", "/recalls/{id}/events", "How a recall gets on, while it does"), s.streamRecall)
	publish(s, api, op.get("recall-stats", "/stats/recalls", "How recalls went, and what a longer hold would have caught"), s.recallStats)
}

// registerPeople adds the operations about who may sign in, and the configuration.
func (s *Server) registerPeople(api huma.API, op operations) {
	publish(s, api, op.get("me", "/me", "Who asks, and what they may do"), s.getMe)
	publish(s, api, op.get("my-sign-ins", "/me/sign-ins", "From where one's own account has signed in to send mail, and who was refused"), s.mySignIns)
	publish(s, api, op.get("my-limits", "/me/limits", "How much of one's own limits is used, and whether one is suspended"), s.myLimits)
	publish(s, api, op.post("change-my-password", "/me/password", "Change one's own password; all sessions end"), s.changeMyPassword)
	publish(s, api, op.get("list-sessions", "/sessions", "Who is signed in: oneself, for administrators everybody"), s.listSessions)
	publish(s, api, op.post("revoke-session", "/sessions/{id}/revoke", "End a session: an own one, for administrators any"), s.revokeSession)
	publish(s, api, op.get("list-users", "/users", "Users of sendgate's own"), s.listUsers)
	publish(s, api, op.post("add-user", "/users", "Add a user"), s.addUser)
	publish(s, api, op.post("change-user", "/users/{name}", "Change a user's role, domains or password, disable or enable one; sessions of the user end"), s.changeUser)
	publish(s, api, op.post("remove-user", "/users/{name}/remove", "Remove a user; sessions of the user end"), s.removeUser)
	publish(s, api, op.get("list-tokens", "/tokens", "Tokens of the configuration, by name"), s.listTokens)
	publish(s, api, op.get("get-config", "/config", "The configuration in effect, without secrets"), s.getConfig)
	publish(s, api, op.post("make-set-up-link", "/set-up-link", "A link that makes an administrator, once"), s.makeSetUpLink)
}

// registerPolicy adds the operations about limits, senders, approvals and alerts.
func (s *Server) registerPolicy(api huma.API, op operations) {
	publish(s, api, op.get("explain-message", "/messages/{id}/explain", "Which rules looked at a message, and what each said"), s.explainMessage)
	publish(s, api, op.post("approve-message", "/messages/{id}/approve", "Let a message go that waits for approval"), s.approveMessage)
	publish(s, api, op.get("list-approvals", "/approvals", "Messages that wait for approval, newest first"), s.listApprovals)
	publish(s, api, op.get("list-batches", "/approvals/batches", "What was pulled back together from suspended senders, the latest first"), s.listBatches)
	publish(s, api, op.post("approve-batch", "/approvals/approve", "Let many messages go that wait for approval"), s.approveBatch)
	publish(s, api, op.post("cancel-batch", "/approvals/cancel", "Take many messages back that wait for approval"), s.cancelBatch)
	publish(s, api, op.post("approve-pulled-back", "/approvals/{batch}/approve", "Let all go that was pulled back together"), s.approvePulledBack)
	publish(s, api, op.post("cancel-pulled-back", "/approvals/{batch}/cancel", "Take all back that was pulled back together"), s.cancelPulledBack)
	publish(s, api, op.get("list-limits", "/limits", "Who is near a limit, the fullest first"), s.listLimits)
	publish(s, api, op.get("list-senders", "/senders", "Senders who are suspended, have a grant, or are near a limit"), s.listSenders)
	publish(s, api, op.get("get-sender", "/senders/{identity}", "What counts for a sender, and what was granted"), s.getSender)
	publish(s, api, op.get("sender-sign-ins", "/senders/{identity}/sign-ins", "From where a sender has signed in to send mail, and who was refused"), s.senderSignIns)
	publish(s, api, op.post("boost-sender", "/senders/{identity}/boost", "Raise limits of a sender for a while; what waits for them goes at once, by itself"), s.boostSender)
	publish(s, api, op.post("override-sender", "/senders/{identity}/override", "Replace a limit of a sender for a while; what then fits goes at once, by itself"), s.overrideSender)
	publish(s, api, op.post("revoke-sender", "/senders/{identity}/revoke", "End boosts and overrides of a sender"), s.revokeSender)
	publish(s, api, op.post("reset-sender", "/senders/{identity}/reset", "Forget what was counted for a sender; what then fits goes at once, by itself"), s.resetSender)
	publish(s, api, op.post("suspend-sender", "/senders/{identity}/suspend", "Keep a sender from writing to other organisations"), s.suspendSender)
	publish(s, api, op.post("unsuspend-sender", "/senders/{identity}/unsuspend", "Let a sender write to other organisations again"), s.unsuspendSender)
	publish(s, api, op.get("rules", "/rules", "The rules in effect: holds and limits"), s.getRules)
	publish(s, api, op.post("test-rules", "/rules/test", "What limits would have done to the mail of the past"), s.testRules)
	publish(s, api, op.get("list-alerts", "/alerts", "What people should know, newest first"), s.listAlerts)
	publish(s, api, op.post("acknowledge-alert", "/alerts/{id}/acknowledge", "Say that somebody has seen an alert"), s.acknowledgeAlert)
}

// registerCampaigns adds the operations about near-duplicates.
func (s *Server) registerCampaigns(api huma.API, op operations) {
	publish(s, api, op.get("list-campaigns", "/campaigns", "Messages that say nearly the same, as campaigns, the latest first"), s.listCampaigns)
	publish(s, api, op.get("get-campaign", "/campaigns/{id}", "One campaign: who sent it to how many, and how its messages differ"), s.getCampaign)
	publish(s, api, op.post("approve-campaign", "/campaigns/{id}/approve", "Let a campaign pass, with all that waits of it"), s.approveCampaign)
	publish(s, api, op.post("cancel-campaign", "/campaigns/{id}/cancel", "Stop a campaign, and take back all that waits of it"), s.cancelCampaign)
	publish(s, api, op.post("slow-campaign", "/campaigns/{id}/slow", "Let a campaign go at a pace only"), s.slowCampaign)
	publish(s, api, op.post("allow-campaign", "/campaigns/{id}/allow", "Let a campaign pass until a time, as a newsletter"), s.allowCampaign)
	publish(s, api, op.post("withdraw-campaign", "/campaigns/{id}/withdraw", "Take back what was decided about a campaign"), s.withdrawCampaign)
}

// describe serves the description of the API, encoded once.
func describe(spec *huma.OpenAPI) http.Handler {
	encoded, err := spec.MarshalJSON()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err != nil {
			writeProblem(w, r, errInternal)
			return
		}
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(encoded) // the client may be gone
	})
}

// operations describes operations alike: each can fail with a problem.
type operations struct{ registry huma.Registry }

func (o operations) describe(method, id, path, summary string) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: apiPath + path, Summary: summary, MaxBodyBytes: maxBody,
		Responses: map[string]*huma.Response{"default": {
			Description: "What went wrong (RFC 9457)",
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: schemaOf[Problem](o.registry)}},
		}},
	}
}

func (o operations) get(id, path, summary string) huma.Operation {
	return o.describe(http.MethodGet, id, path, summary)
}

func (o operations) post(id, path, summary string) huma.Operation {
	return o.describe(http.MethodPost, id, path, summary)
}

func (o operations) delete(id, path, summary string) huma.Operation {
	return o.describe(http.MethodDelete, id, path, summary)
}

func (o operations) upload(id, path, summary string) huma.Operation {
	op := o.post(id, path, summary)
	op.MaxBodyBytes = -1
	op.Description = "Needs the role admin. The body is the log as it is, plain or compressed with gzip, of any length. " +
		"To read a log twice changes nothing."
	op.RequestBody = &huma.RequestBody{
		Required: true,
		Content:  map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
	}
	return op
}

func (o operations) recall(id, path, summary string) huma.Operation {
	op := o.post(id, path, summary)
	op.Description = "A recall is durable when this answers, which takes a moment where it can be known at once what it comes to; what is not at an end then goes on. " +
		"With dry_run nothing is touched. What the rules of recalls do not allow is answered with 200, the status unavailable " +
		"and a restriction: recall_disabled, channel_not_allowed, window_expired, already_recalled, recall_in_progress, " +
		"reason_required, rate_limited. With already_recalled and recall_in_progress the rest is that other recall, so that a request can be " +
		"repeated; else overall is rejected. Problems are: 404 not_found, 403 not_sender, 409 ambiguous_match, 422 for what is " +
		"wrong in itself, such as invalid_request, invalid_query, too_many."
	return op
}

func (o operations) recallEvents(id, path, summary string) huma.Operation {
	op := o.get(id, path, summary)
	op.Description = "Server-sent events of the type \"recall\": Recall without its recipients as JSON, once at the beginning, when it changes " +
		"(at most four in a second), and every 15 seconds. The stream ends when the recall has: ended is set in its last event."
	op.Responses["200"] = o.stream(schemaOf[Recall](o.registry))
	return op
}

// stream describes an answer of server-sent events.
func (o operations) stream(data *huma.Schema) *huma.Response {
	return &huma.Response{Description: "Events, as long as the client listens", Content: map[string]*huma.MediaType{eventStream: {Schema: data}}}
}

func (o operations) events(id, path, summary string) huma.Operation {
	op := o.get(id, path, summary)
	op.Description = "Server-sent events. Each has the type \"record\" and LiveRecord as JSON in its data; " +
		"its id resumes after it when sent as Last-Event-ID. The type \"dropped\" is the last event of a client that does not keep up."
	op.Responses["200"] = o.stream(schemaOf[LiveRecord](o.registry))
	return op
}

// routed answers with a problem where the mux knows no path or no such method.
func routed(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		refusal := refusedByMux{header: http.Header{}}
		handler.ServeHTTP(refusal, r)
		if allow := refusal.header.Get("Allow"); allow != "" {
			w.Header().Set("Allow", allow)
			writeProblem(w, r, errMethod)
			return
		}
		writeProblem(w, r, errNoRoute)
	})
}

// refusedByMux takes the mux's own plain answer, of which only the Allow header is of use.
type refusedByMux struct{ header http.Header }

func (r refusedByMux) Header() http.Header         { return r.header }
func (r refusedByMux) Write(b []byte) (int, error) { return len(b), nil }
func (r refusedByMux) WriteHeader(int)             {}

// guarded sets the headers that keep browsers from guessing, framing and caching, and bounds the body.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		if r.URL.Path != importPath {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		next.ServeHTTP(w, r)
	})
}
