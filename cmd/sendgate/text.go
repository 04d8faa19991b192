package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// words are the headings and sentences of the commands in the two languages.
var words = map[string]policy.Label{
	"id":            {EN: "ID", ZH: "编号"},
	"received":      {EN: "RECEIVED", ZH: "接收时间"},
	"from":          {EN: "FROM", ZH: "发件人"},
	"to":            {EN: "TO", ZH: "收件人数"},
	"subject":       {EN: "SUBJECT", ZH: "主题"},
	"state":         {EN: "STATE", ZH: "状态"},
	"held until":    {EN: "HELD UNTIL", ZH: "可撤回至"},
	"recipient":     {EN: "RECIPIENT", ZH: "收件人"},
	"since":         {EN: "SINCE", ZH: "时间"},
	"reply":         {EN: "REPLY", ZH: "服务器回复"},
	"time":          {EN: "TIME", ZH: "时间"},
	"event":         {EN: "EVENT", ZH: "事件"},
	"who":           {EN: "WHO", ZH: "操作者"},
	"about":         {EN: "ABOUT", ZH: "涉及"},
	"more":          {EN: "MORE", ZH: "详情"},
	"message":       {EN: "MESSAGE", ZH: "邮件"},
	"result":        {EN: "RESULT", ZH: "结果"},
	"reason":        {EN: "REASON", ZH: "原因"},
	"done":          {EN: "DONE", ZH: "成功"},
	"of":            {EN: "OF", ZH: "共"},
	"client":        {EN: "CLIENT", ZH: "客户端"},
	"login":         {EN: "LOGIN", ZH: "登录名"},
	"identity":      {EN: "IDENTITY", ZH: "身份"},
	"message-id":    {EN: "MESSAGE-ID", ZH: "Message-ID"},
	"size":          {EN: "SIZE", ZH: "大小"},
	"all":           {EN: "all", ZH: "全部"},
	"recipients":    {EN: "%d recipients", ZH: "%d 个收件人"},
	"none":          {EN: "no messages", ZH: "没有邮件"},
	"no recalls":    {EN: "no recalls", ZH: "没有撤回记录"},
	"next page":     {EN: "more with --cursor %s", ZH: "更多：--cursor %s"},
	"next try":      {EN: "next try %s", ZH: "下次重试 %s"},
	"until":         {EN: "until %s", ZH: "至 %s"},
	"recall until":  {EN: "recall until %s, leaves at %s", ZH: "可撤回至 %s，%s 发出"},
	"on hold":       {EN: "on hold", ZH: "暂缓中"},
	"duplicate":     {EN: "may be a duplicate", ZH: "可能重复"},
	"released":      {EN: "%s released: %s", ZH: "%s 已放行：%s"},
	"held":          {EN: "%s held until %s", ZH: "%s 可撤回至 %s"},
	"taken back":    {EN: "%d of %d taken back", ZH: "%[2]d 个中已撤回 %[1]d 个"},
	"would be":      {EN: "%d of %d can be taken back", ZH: "%[2]d 个中可撤回 %[1]d 个"},
	"in progress":   {EN: "%d still in progress: sendgate recalls %s", ZH: "%d 个仍在处理：sendgate recalls %s"},
	"reconnecting":  {EN: "the stream broke off, connecting again", ZH: "连接中断，正在重新连接"},
	"token":         {EN: "The token, shown only this once:", ZH: "令牌（仅显示这一次）："},
	"token config":  {EN: "Add this line to api.tokens in the configuration, and reload:", ZH: "请将下面一行加入配置的 api.tokens，然后重新加载："},
	"members":       {EN: "%d members", ZH: "%d 个成员"},
	"one member":    {EN: "1 member", ZH: "1 个成员"},
	"attempt":       {EN: "attempt %d", ZH: "第 %d 次发送"},
	"superseded":    {EN: "sent again", ZH: "已重新发送"},
	"tries":         {EN: "tried %d times", ZH: "已尝试 %d 次"},
	"count":         {EN: "RECIPIENTS", ZH: "收件人数"},
	"counted":       {EN: "%d recipients since %s, %.3f%% unknown", ZH: "%d 个收件人（%s 起），状态未知占 %.3f%%"},
	"log":           {EN: "LOG", ZH: "日志"},
	"source state":  {EN: "STATE", ZH: "状态"},
	"lag":           {EN: "LAG", ZH: "延迟"},
	"last line":     {EN: "LAST LINE", ZH: "最后一行"},
	"gap from":      {EN: "MISSING FROM", ZH: "缺失自"},
	"gap to":        {EN: "TO", ZH: "至"},
	"following":     {EN: "reading", ZH: "读取中"},
	"caught_up":     {EN: "up to date", ZH: "已读到最新"},
	"error":         {EN: "cannot be read", ZH: "无法读取"},
	"not tracked":   {EN: "no logs are followed", ZH: "未跟踪任何日志"},
	"lines":         {EN: "LINES", ZH: "行数"},
	"entries":       {EN: "ENTRIES", ZH: "投递记录"},
	"events":        {EN: "EVENTS", ZH: "事件"},
	"nothing taken": {EN: "nothing could be taken back", ZH: "没有可撤回的收件人"},
}

// kinds are the events as people call them.
var kinds = map[policy.Kind]policy.Label{
	policy.Accepted:         {EN: "accepted", ZH: "已接收"},
	policy.Held:             {EN: "held", ZH: "暂缓发送"},
	policy.HoldChanged:      {EN: "hold changed", ZH: "调整暂缓"},
	policy.Approved:         {EN: "approved", ZH: "审批通过"},
	policy.Released:         {EN: "released", ZH: "放行"},
	policy.Offered:          {EN: "offered", ZH: "直接转交"},
	policy.Canceled:         {EN: "taken back", ZH: "已撤回"},
	policy.Resent:           {EN: "sent again", ZH: "重新发送"},
	policy.Refused:          {EN: "refused", ZH: "拒收"},
	policy.NeverQueued:      {EN: "never queued", ZH: "未进入队列"},
	policy.HandedOver:       {EN: "handed over", ZH: "已转交"},
	policy.Queued:           {EN: "queued", ZH: "排队中"},
	policy.Deferred:         {EN: "deferred", ZH: "稍后重试"},
	policy.DeliveredMailbox: {EN: "delivered", ZH: "已投递到邮箱"},
	policy.RelayedRemote:    {EN: "relayed", ZH: "已投递到对方服务器"},
	policy.Expanded:         {EN: "expanded", ZH: "群组展开"},
	policy.Bounced:          {EN: "bounced", ZH: "退信"},
	policy.Expired:          {EN: "expired", ZH: "超时放弃"},
	policy.AsyncBounced:     {EN: "bounced later", ZH: "事后退信"},
	policy.Blocked:          {EN: "blocked", ZH: "被拦截"},
	policy.RecallRequested:  {EN: "recall requested", ZH: "请求撤回"},
	policy.RecallOutcome:    {EN: "recall outcome", ZH: "撤回结果"},
	policy.Restored:         {EN: "restored", ZH: "已恢复"},
	policy.ForwardedSeen:    {EN: "seen forwarded", ZH: "发现已转发"},
	policy.ReadSeen:         {EN: "seen read", ZH: "发现已读"},
	policy.Unknown:          {EN: "unknown", ZH: "状态未知"},
	policy.Notified:         {EN: "sender told", ZH: "已通知发件人"},
	policy.Suspended:        {EN: "suspended", ZH: "已停用"},
	policy.Unsuspended:      {EN: "unsuspended", ZH: "已恢复使用"},
	policy.Boosted:          {EN: "boosted", ZH: "临时提额"},
	policy.ConfigChanged:    {EN: "configuration changed", ZH: "配置变更"},
	policy.Login:            {EN: "login", ZH: "登录"},
	policy.Dequeued:         {EN: "left the queue", ZH: "已离开队列"},
}

// language takes what was asked for, else the locale, in the order of setlocale(3).
func language(asked string) (string, error) {
	switch {
	case asked == "zh" || asked == "en":
		return asked, nil
	case asked != "":
		return "", usageError{fmt.Errorf("--lang %q: there are en and zh", asked)}
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := os.Getenv(name); v != "" {
			if strings.HasPrefix(v, "zh") {
				return "zh", nil
			}
			break
		}
	}
	return "en", nil
}

// say gives a text in the language of the client, with values in its places.
func (c *client) say(word string, values ...any) string {
	text := words[word].In(c.lang)
	if len(values) == 0 {
		return text
	}
	return fmt.Sprintf(text, values...)
}

// headings gives several texts.
func (c *client) headings(names ...string) []string {
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = c.say(n)
	}
	return texts
}

func (c *client) kind(k policy.Kind) string {
	if l, ok := kinds[k]; ok {
		return l.In(c.lang)
	}
	return string(k) // from a newer server
}

// sender shows the null sender as it is written in SMTP.
func (c *client) sender(address string) string { return policy.Address(address).String() }

// clock shows a moment in the local zone; the zero time is nothing.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}
