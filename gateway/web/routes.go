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
	mux.Handle("GET /{$}", http.HandlerFunc(frontPage))
	return guarded(routed(mux))
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

	op := operations{registry: api.OpenAPI().Components.Schemas}
	huma.Register(api, op.get("list-messages", "/messages", "List and search messages, newest first"), s.listMessages)
	huma.Register(api, op.get("get-message", "/messages/{id}", "One message with its recipients and its timeline"), s.getMessage)
	huma.Register(api, op.post("release-message", "/messages/{id}/release", "Let a held message go now"), s.releaseMessage)
	huma.Register(api, op.post("hold-message", "/messages/{id}/hold", "Move the end of a hold"), s.holdMessage)
	huma.Register(api, op.post("cancel-message", "/messages/{id}/cancel", "Take a message back before it has left"), s.cancelMessage)
	huma.Register(api, op.post("resend-message", "/messages/{id}/resend", "Send a message again to recipients whom it did not reach"), s.resendMessage)
	huma.Register(api, op.post("recall", "/recalls", "Take messages back, wherever they are within reach"), s.postRecall)
	huma.Register(api, op.get("list-recalls", "/recalls", "Recalls, newest first"), s.listRecalls)
	huma.Register(api, op.get("get-recall", "/recalls/{id}", "One recall with what it came to for each recipient"), s.getRecall)
	s.registerPolicy(api, op)
	s.registerCampaigns(api, op)
	huma.Register(api, op.get("stats", "/stats", "What became of the mail of the last hours"), s.getStats)
	huma.Register(api, op.get("tracking", "/tracking", "The logs that are followed, and how far"), s.getTracking)
	huma.Register(api, op.upload("import-log", "/tracking/import", "Read a log of the past"), s.importLog)
	huma.Register(api, op.events("events", "/events", "What happens, while it happens"), s.streamEvents)
	return describe(api.OpenAPI())
}

// registerPolicy adds the operations about limits, senders, approvals and alerts.
func (s *Server) registerPolicy(api huma.API, op operations) {
	huma.Register(api, op.get("explain-message", "/messages/{id}/explain", "Which rules looked at a message, and what each said"), s.explainMessage)
	huma.Register(api, op.post("approve-message", "/messages/{id}/approve", "Let a message go that waits for approval"), s.approveMessage)
	huma.Register(api, op.get("list-approvals", "/approvals", "Messages that wait for approval, newest first"), s.listApprovals)
	huma.Register(api, op.post("approve-batch", "/approvals/approve", "Let many messages go that wait for approval"), s.approveBatch)
	huma.Register(api, op.post("cancel-batch", "/approvals/cancel", "Take many messages back that wait for approval"), s.cancelBatch)
	huma.Register(api, op.get("list-limits", "/limits", "Who is near a limit, the fullest first"), s.listLimits)
	huma.Register(api, op.get("list-senders", "/senders", "Senders who are suspended, have a grant, or are near a limit"), s.listSenders)
	huma.Register(api, op.get("get-sender", "/senders/{identity}", "What counts for a sender, and what was granted"), s.getSender)
	huma.Register(api, op.post("boost-sender", "/senders/{identity}/boost", "Raise limits of a sender for a while; what waits for them goes at once, by itself"), s.boostSender)
	huma.Register(api, op.post("override-sender", "/senders/{identity}/override", "Replace a limit of a sender for a while; what then fits goes at once, by itself"), s.overrideSender)
	huma.Register(api, op.post("revoke-sender", "/senders/{identity}/revoke", "End boosts and overrides of a sender"), s.revokeSender)
	huma.Register(api, op.post("reset-sender", "/senders/{identity}/reset", "Forget what was counted for a sender; what then fits goes at once, by itself"), s.resetSender)
	huma.Register(api, op.post("suspend-sender", "/senders/{identity}/suspend", "Keep a sender from writing to other organisations"), s.suspendSender)
	huma.Register(api, op.post("unsuspend-sender", "/senders/{identity}/unsuspend", "Let a sender write to other organisations again"), s.unsuspendSender)
	huma.Register(api, op.get("rules", "/rules", "The rules in effect: holds and limits"), s.getRules)
	huma.Register(api, op.post("test-rules", "/rules/test", "What limits would have done to the mail of the past"), s.testRules)
	huma.Register(api, op.get("list-alerts", "/alerts", "What people should know, newest first"), s.listAlerts)
	huma.Register(api, op.post("acknowledge-alert", "/alerts/{id}/acknowledge", "Say that somebody has seen an alert"), s.acknowledgeAlert)
}

// registerCampaigns adds the operations about near-duplicates.
func (s *Server) registerCampaigns(api huma.API, op operations) {
	huma.Register(api, op.get("list-campaigns", "/campaigns", "Messages that say nearly the same, as campaigns, the latest first"), s.listCampaigns)
	huma.Register(api, op.get("get-campaign", "/campaigns/{id}", "One campaign: who sent it to how many, and how its messages differ"), s.getCampaign)
	huma.Register(api, op.post("approve-campaign", "/campaigns/{id}/approve", "Let a campaign pass, with all that waits of it"), s.approveCampaign)
	huma.Register(api, op.post("cancel-campaign", "/campaigns/{id}/cancel", "Stop a campaign, and take back all that waits of it"), s.cancelCampaign)
	huma.Register(api, op.post("slow-campaign", "/campaigns/{id}/slow", "Let a campaign go at a pace only"), s.slowCampaign)
	huma.Register(api, op.post("allow-campaign", "/campaigns/{id}/allow", "Let a campaign pass until a time, as a newsletter"), s.allowCampaign)
	huma.Register(api, op.post("withdraw-campaign", "/campaigns/{id}/withdraw", "Take back what was decided about a campaign"), s.withdrawCampaign)
}

// describe serves the description of the API, encoded once.
func describe(spec *huma.OpenAPI) http.Handler {
	encoded, err := spec.MarshalJSON()
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err != nil {
			writeProblem(w, errInternal)
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

func (o operations) events(id, path, summary string) huma.Operation {
	op := o.get(id, path, summary)
	op.Description = "Server-sent events. Each has the type \"record\" and LiveRecord as JSON in its data; " +
		"its id resumes after it when sent as Last-Event-ID."
	op.Responses["200"] = &huma.Response{
		Description: "A stream that does not end by itself",
		Content:     map[string]*huma.MediaType{eventStream: {Schema: schemaOf[LiveRecord](o.registry)}},
	}
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
			writeProblem(w, errMethod)
			return
		}
		writeProblem(w, errNoRoute)
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
