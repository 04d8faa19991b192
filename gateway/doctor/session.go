package doctor

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/postconf"
	"github.com/sendgate/sendgate/policy"
)

// decides is how long the milter may take for an answer (gateway/milter, decideTime), and what Postfix
// has to wait at least, so that it is the milter that gives up.
const (
	decides = 25 * time.Second
	patient = 30 * time.Second
)

// setting is a parameter of a connection to us: of the entry in braces, else of the service.
func (e *examination) setting(s *postconf.Service, name, inBraces string) string {
	if how, at := e.calls(s); how != never {
		if v, ok := e.mta.Milters(s)[at].Settings[inBraces]; ok {
			return v
		}
	}
	return e.mta.Value(s, name)
}

// asking are all services that ask us.
func (e *examination) asking() []*postconf.Service {
	services := e.callers()
	if c := e.mta.Cleanup(); c != nil {
		if how, _ := e.calls(c); how != never {
			services = append(services, c)
		}
	}
	return services
}

// values gives the services by the value that a parameter has for them, and the values in order.
func (e *examination) values(name, inBraces string) (order []string, services map[string][]*postconf.Service) {
	services = map[string][]*postconf.Service{}
	for _, s := range e.asking() {
		v := e.setting(s, name, inBraces)
		if services[v] == nil {
			order = append(order, v)
		}
		services[v] = append(services[v], s)
	}
	return order, services
}

func names(all []*postconf.Service) string {
	texts := make([]string, len(all))
	for i, s := range all {
		texts[i] = s.Name
	}
	return strings.Join(texts, ", ")
}

func nobodyAsks() policy.Label {
	return say("no service asks sendgate", "没有服务询问 sendgate")
}

// checkDefaultAction looks at what Postfix does without us.
func checkDefaultAction(_ context.Context, e *examination) {
	const name = "milter_default_action"
	order, services := e.values(name, "default_action")
	for _, v := range order {
		where := names(services[v])
		change := setMain(name, "tempfail")
		switch v {
		case "tempfail":
			e.ok(say("tempfail at %s: clients try again", "%[1]s 上为 tempfail：客户端会重试", where))
		case "shutdown":
			e.ok(say("shutdown at %s: clients are hung up on, and try again", "%[1]s 上为 shutdown：断开连接，客户端会重试", where))
		case "accept":
			e.warn(say("accept at %s: while sendgate is away mail passes, neither held nor limited", "%[1]s 上为 accept：sendgate 不在时邮件直接通过，不暂缓也不限量", where), change)
		case "quarantine":
			e.wrong(say("quarantine at %s: while sendgate is away mail is put on hold, and nobody lets it go", "%[1]s 上为 quarantine：sendgate 不在时邮件被搁置，无人放行", where), change)
		default:
			e.wrong(say("%s at %s: while sendgate is away good mail is returned to its senders", "%[2]s 上为 %[1]s：sendgate 不在时正常邮件会被退回", v, where), change)
		}
	}
	if len(order) == 0 {
		e.skip(nobodyAsks())
	}
}

// checkTimeouts compares both sides.
func checkTimeouts(_ context.Context, e *examination) {
	services := e.asking()
	if len(services) == 0 {
		e.skip(nobodyAsks())
		return
	}
	low := map[string]bool{}
	for _, limit := range []struct {
		name, inBraces string
		least          time.Duration
		usual          string
	}{
		{"milter_connect_timeout", "connect_timeout", 5 * time.Second, "30s"},
		{"milter_command_timeout", "command_timeout", patient, "30s"},
		{"milter_content_timeout", "content_timeout", patient, "300s"},
	} {
		for _, s := range services {
			v := e.setting(s, limit.name, limit.inBraces)
			if postconf.Duration(v, time.Second) < limit.least && !low[limit.name] {
				low[limit.name] = true
				e.warn(say("%s = %s at %s; sendgate may take %s to decide", "%[3]s 上 %[1]s = %[2]s；sendgate 最长需要 %[4]s 作出决定", limit.name, v, s.Name, short(decides)),
					setMain(limit.name, limit.usual))
			}
		}
	}
	longest := slices.MaxFunc(services, func(a, b *postconf.Service) int { return cmp.Compare(e.silence(a), e.silence(b)) })
	if silence := e.silence(longest); e.MilterIdle <= silence {
		low["idle"] = true
		e.warn(say("milter.idle_timeout is %s, but Postfix may be silent for smtpd_timeout = %s (%s)",
			"milter.idle_timeout 为 %s，而 Postfix 可静默 smtpd_timeout = %s（%s）", short(e.MilterIdle), short(silence), longest.Name),
			"milter.idle_timeout: 2h")
	}
	if len(low) == 0 {
		e.ok(say("Postfix waits longer than the %s that sendgate takes, and sendgate longer than Postfix's clients",
			"Postfix 的等待时间长于 sendgate 的 %s，sendgate 的等待时间长于 Postfix 的客户端", short(decides)))
	}
}

// silence is how long a service may wait for its client.
func (e *examination) silence(s *postconf.Service) time.Duration {
	return e.mta.Duration(s, "smtpd_timeout", time.Second)
}

// checkConnections counts the processes that may ask us at a time.
func checkConnections(_ context.Context, e *examination) {
	most := 0
	for _, s := range e.callers() {
		n := e.mta.Processes(s)
		if n == 0 {
			e.warn(say("%s may run any number of processes; milter.connections is %d", "%s 的进程数没有上限；milter.connections 为 %d", s.Name, e.MilterConnections),
				"milter.connections: 10000")
			return
		}
		most += n
	}
	switch {
	case most == 0:
		e.skip(nobodyAsks())
	case most >= e.MilterConnections:
		e.warn(say("up to %d smtpd processes; milter.connections is %d", "smtpd 进程最多 %d 个；milter.connections 为 %d", most, e.MilterConnections),
			"milter.connections: "+say("%d", "%d", 2*most).EN)
	default:
		e.ok(say("up to %d smtpd processes; milter.connections is %d", "smtpd 进程最多 %d 个；milter.connections 为 %d", most, e.MilterConnections))
	}
}

// checkMacros looks for the two macros that we cannot do without, and for the protocol's version.
func checkMacros(_ context.Context, e *examination) {
	fine := true
	for name, macro := range map[string]string{"milter_mail_macros": "{auth_authen}", "milter_end_of_data_macros": "i"} {
		have := postconf.Words(strings.NewReplacer("{", "", "}", "").Replace(e.mta.Values[name]))
		if !slices.Contains(have, strings.Trim(macro, "{}")) {
			fine = false
			e.wrong(say("%s = %s: %s is missing", "%s = %s：缺少 %s", name, e.mta.Values[name], macro), "postconf -X "+name)
		}
	}
	if v := postconf.Number(e.mta.Values["milter_protocol"]); v < 6 {
		fine = false
		e.warn(say("milter_protocol = %d: each message costs more round trips", "milter_protocol = %d：每封邮件往返次数更多", v), "postconf -X milter_protocol")
	}
	if fine {
		e.ok(say("login and queue id are sent, milter_protocol = %s", "会发送登录名和队列号，milter_protocol = %s", e.mta.Values["milter_protocol"]))
	}
}
