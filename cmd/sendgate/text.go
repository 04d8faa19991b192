package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// words are the headings and sentences of the commands in the two languages.
var words = map[string]policy.Label{
	"webhook":                {EN: "WEBHOOK", ZH: "WEBHOOK"},
	"webhook host":           {EN: "HOST", ZH: "主机"},
	"webhook state":          {EN: "STATE", ZH: "状态"},
	"webhook behind":         {EN: "BEHIND", ZH: "积压"},
	"webhook last":           {EN: "LAST TAKEN", ZH: "最近推送"},
	"webhook error":          {EN: "ERROR", ZH: "错误"},
	"webhook ok":             {EN: "ok", ZH: "正常"},
	"webhook failing":        {EN: "failing", ZH: "失败重试中"},
	"webhook disabled":       {EN: "disabled", ZH: "已停用"},
	"no webhooks":            {EN: "no program is told of events: see webhooks in the configuration", ZH: "未配置事件推送（配置项 webhooks）"},
	"webhook test failed":    {EN: "webhook %s did not take the test event: %s", ZH: "Webhook %s 未接收测试事件：%s"},
	"webhook test delivered": {EN: "webhook %s took the test event within %d ms", ZH: "Webhook %s 已接收测试事件，用时 %d 毫秒"},
	"webhook resumed":        {EN: "webhook %s goes on", ZH: "Webhook %s 已恢复推送"},

	"set up":            {EN: "Done. \"sendgate doctor\" looks at everything again; \"sendgate setup --undo\" puts back what was there.", ZH: "已完成。“sendgate doctor” 可再次检查；“sendgate setup --undo” 可恢复原状。"},
	"id":                {EN: "ID", ZH: "编号"},
	"received":          {EN: "RECEIVED", ZH: "接收时间"},
	"from":              {EN: "FROM", ZH: "发件人"},
	"to":                {EN: "TO", ZH: "收件人数"},
	"subject":           {EN: "SUBJECT", ZH: "主题"},
	"state":             {EN: "STATE", ZH: "状态"},
	"held until":        {EN: "HELD UNTIL", ZH: "可撤回至"},
	"recipient":         {EN: "RECIPIENT", ZH: "收件人"},
	"since":             {EN: "SINCE", ZH: "时间"},
	"reply":             {EN: "REPLY", ZH: "服务器回复"},
	"time":              {EN: "TIME", ZH: "时间"},
	"event":             {EN: "EVENT", ZH: "事件"},
	"who":               {EN: "WHO", ZH: "操作者"},
	"about":             {EN: "ABOUT", ZH: "涉及"},
	"more":              {EN: "MORE", ZH: "详情"},
	"message":           {EN: "MESSAGE", ZH: "邮件"},
	"result":            {EN: "RESULT", ZH: "结果"},
	"reason":            {EN: "REASON", ZH: "原因"},
	"done":              {EN: "DONE", ZH: "成功"},
	"of":                {EN: "OF", ZH: "共"},
	"client":            {EN: "CLIENT", ZH: "客户端"},
	"login":             {EN: "LOGIN", ZH: "登录名"},
	"identity":          {EN: "IDENTITY", ZH: "身份"},
	"message-id":        {EN: "MESSAGE-ID", ZH: "Message-ID"},
	"size":              {EN: "SIZE", ZH: "大小"},
	"all":               {EN: "all", ZH: "全部"},
	"recipients":        {EN: "%d {recipient|recipients}", ZH: "%d 个收件人"},
	"none":              {EN: "no messages", ZH: "没有邮件"},
	"no recalls":        {EN: "no recalls", ZH: "没有撤回记录"},
	"next page":         {EN: "more with --cursor %s", ZH: "更多：--cursor %s"},
	"next try":          {EN: "next try %s", ZH: "下次重试 %s"},
	"until":             {EN: "until %s", ZH: "至 %s"},
	"recall until":      {EN: "recall until %s, leaves at %s", ZH: "可撤回至 %s，%s 发出"},
	"on hold":           {EN: "on hold", ZH: "暂缓中"},
	"duplicate":         {EN: "may be a duplicate", ZH: "可能重复"},
	"released":          {EN: "%s released: %s", ZH: "%s 已放行：%s"},
	"held":              {EN: "%s held until %s", ZH: "%s 可撤回至 %s"},
	"taken back":        {EN: "%d of %d taken back", ZH: "%[2]d 个中已撤回 %[1]d 个"},
	"would be":          {EN: "%d of %d can be taken back", ZH: "%[2]d 个中可撤回 %[1]d 个"},
	"in progress":       {EN: "%d still in progress: sendgate recalls %s", ZH: "%d 个仍在处理：sendgate recalls %s"},
	"reconnecting":      {EN: "the stream broke off, connecting again", ZH: "连接中断，正在重新连接"},
	"token":             {EN: "The token, shown only this once:", ZH: "令牌（仅显示这一次）："},
	"token config":      {EN: "Add this line to api.tokens in the configuration, and reload:", ZH: "请将下面一行加入配置的 api.tokens，然后重新加载："},
	"setup link":        {EN: "Open this link within a day; it makes one administrator of the dashboard:", ZH: "请在一天内打开此链接，创建一位仪表盘管理员："},
	"members":           {EN: "%d {member|members}", ZH: "%d 个成员"},
	"one member":        {EN: "1 member", ZH: "1 个成员"},
	"attempt":           {EN: "attempt %d", ZH: "第 %d 次发送"},
	"superseded":        {EN: "sent again", ZH: "已重新发送"},
	"tries":             {EN: "tried %d {time|times}", ZH: "已尝试 %d 次"},
	"count":             {EN: "RECIPIENTS", ZH: "收件人数"},
	"counted":           {EN: "%d {recipient|recipients} since %s, %.3f%% unknown", ZH: "%d 个收件人（%s 起），状态未知占 %.3f%%"},
	"log":               {EN: "LOG", ZH: "日志"},
	"source state":      {EN: "STATE", ZH: "状态"},
	"lag":               {EN: "LAG", ZH: "延迟"},
	"last line":         {EN: "LAST LINE", ZH: "最后一行"},
	"gap from":          {EN: "MISSING FROM", ZH: "缺失自"},
	"gap to":            {EN: "TO", ZH: "至"},
	"following":         {EN: "reading", ZH: "读取中"},
	"caught_up":         {EN: "up to date", ZH: "已读到最新"},
	"error":             {EN: "cannot be read", ZH: "无法读取"},
	"not tracked":       {EN: "no logs are followed", ZH: "未跟踪任何日志"},
	"lines":             {EN: "LINES", ZH: "行数"},
	"entries":           {EN: "ENTRIES", ZH: "投递记录"},
	"events":            {EN: "EVENTS", ZH: "事件"},
	"rule":              {EN: "RULE", ZH: "规则"},
	"used":              {EN: "USED", ZH: "已用"},
	"asked":             {EN: "ASKED", ZH: "本次"},
	"limit":             {EN: "LIMIT", ZH: "上限"},
	"unit":              {EN: "UNIT", ZH: "单位"},
	"per":               {EN: "PER", ZH: "每"},
	"percent":           {EN: "SHARE", ZH: "占比"},
	"limit from":        {EN: "FROM", ZH: "来源"},
	"next free":         {EN: "NEXT FREE", ZH: "下次可发"},
	"whom":              {EN: "FOR", ZH: "对象"},
	"source rule":       {EN: "rule", ZH: "规则"},
	"source override":   {EN: "override", ZH: "单独设定"},
	"source boost":      {EN: "boost", ZH: "临时提额"},
	"source ramp":       {EN: "new account", ZH: "新账号"},
	"only tells":        {EN: "only tells", ZH: "仅提示"},
	"acts":              {EN: "acts", ZH: "生效"},
	"nobody near":       {EN: "nobody uses %d%% of a limit or more", ZH: "没有用到上限 %d%% 的对象"},
	"trial":             {EN: "limits only tell until %s", ZH: "限额在 %s 之前仅提示，不影响发送"},
	"no senders":        {EN: "no such senders", ZH: "没有符合条件的发件人"},
	"suspended":         {EN: "SUSPENDED", ZH: "已暂停"},
	"until ended":       {EN: "until ended", ZH: "直至解除"},
	"by itself":         {EN: "sendgate, for what the account did (time %d)", ZH: "系统自动（第 %d 次），因账号行为异常"},
	"grants":            {EN: "GRANTS", ZH: "授权数"},
	"fullest":           {EN: "FULLEST LIMIT", ZH: "用量最高的规则"},
	"messages 24h":      {EN: "LAST 24 H", ZH: "近 24 小时"},
	"change":            {EN: "CHANGE", ZH: "调整"},
	"valid until":       {EN: "UNTIL", ZH: "有效期至"},
	"boosted":           {EN: "%s: raised; what waits goes at once, by itself, as far as it fits", ZH: "%s：已临时提额，等待中的邮件在额度内自动发出"},
	"overridden":        {EN: "%s: the limit is changed; what waits goes at once, by itself, as far as it fits", ZH: "%s：已调整限额，等待中的邮件在额度内自动发出"},
	"revoked":           {EN: "%s: boosts and overrides are ended", ZH: "%s：已取消提额和单独设定"},
	"was reset":         {EN: "%s: counted from zero again; what waits goes at once, by itself, as far as it fits", ZH: "%s：计数已清零，等待中的邮件在额度内自动发出"},
	"suspended now":     {EN: "%s: suspended from sending to other organisations", ZH: "%s：已暂停对外发送"},
	"unsuspended":       {EN: "%s: may send to other organisations again", ZH: "%s：已恢复对外发送"},
	"backup made":       {EN: "%s has everything of %s up to batch %d: %d {message|messages}, %s in %v", ZH: "%s 已包含 %s 截至批次 %d 的全部数据：%d 封邮件，%s，用时 %v"},
	"backup plain":      {EN: "it is not encrypted: whoever has it can read all mail in it", ZH: "备份未加密：得到该文件即可读取其中的全部邮件"},
	"backup damaged":    {EN: "could not be read: %s", ZH: "无法读取：%s"},
	"store total":       {EN: "on disk", ZH: "磁盘占用"},
	"store max":         {EN: "of %s allowed", ZH: "上限 %s"},
	"store bodies":      {EN: "messages as sent", ZH: "邮件原文"},
	"store bodies for":  {EN: "until %v after the last delivery", ZH: "最后一次投递后保留 %v"},
	"store garbage":     {EN: "deleted", ZH: "已删除"},
	"store garbage why": {EN: "the space comes back by itself", ZH: "空间会自动回收"},
	"store messages":    {EN: "messages, recipients", ZH: "邮件与收件人"},
	"store events":      {EN: "events", ZH: "事件"},
	"store events for":  {EN: "for %v", ZH: "保留 %v"},
	"store indexes":     {EN: "indexes", ZH: "索引"},
	"store other":       {EN: "audit, users, counts", ZH: "审计、用户、统计"},
	"store recent":      {EN: "newest, not sorted yet", ZH: "最新变更"},
	"store logs":        {EN: "logs of the engine", ZH: "引擎日志"},
	"store free":        {EN: "free on the disk", ZH: "磁盘剩余"},
	"store reserve":     {EN: "below %s no mail is accepted", ZH: "低于 %s 时不再接收邮件"},
	"store oldest":      {EN: "oldest message", ZH: "最早的邮件"},
	"store early":       {EN: "the size limit is reached: since the start %d {body|bodies} and %d {message|messages} were deleted before their time", ZH: "已达容量上限：启动以来提前删除 %d 封邮件的原文、%d 封邮件的全部记录"},
	"store over":        {EN: "nothing is left that may be deleted: raise store.max_size_mib", ZH: "已没有可以删除的内容：请调大 store.max_size_mib"},

	"no approvals":         {EN: "nothing waits for approval", ZH: "没有等待审批的邮件"},
	"approved":             {EN: "%s approved: %s", ZH: "%s 已批准：%s"},
	"batch":                {EN: "batch %s: sendgate approvals approve or cancel", ZH: "批次 %s：可用 sendgate approvals approve 或 cancel 整批处理"},
	"batch approve":        {EN: "%s approved, messages let go: %d", ZH: "%s 已批准，放行邮件 %d 封"},
	"told by bounces":      {EN: "messages whose sender is told by a bounce: %d", ZH: "已退信告知发件人的邮件 %d 封"},
	"batch cancel":         {EN: "%s canceled, messages taken back: %d", ZH: "%s 已取消，撤回邮件 %d 封"},
	"expires":              {EN: "EXPIRES", ZH: "期限"},
	"then":                 {EN: "THEN", ZH: "到期后"},
	"why":                  {EN: "WHY", ZH: "原因"},
	"expiry return":        {EN: "back to sender", ZH: "退回发件人"},
	"expiry release":       {EN: "goes out", ZH: "自动发出"},
	"says":                 {EN: "SAYS", ZH: "结论"},
	"text":                 {EN: "TEXT", ZH: "说明"},
	"would":                {EN: "would %s", ZH: "本应%s"},
	"decides":              {EN: "decides: %s", ZH: "决定：%s"},
	"exceeded":             {EN: "exceeded: %s", ZH: "超限：%s"},
	"warns":                {EN: "nearly full", ZH: "接近上限"},
	"fits":                 {EN: "fits", ZH: "未超限"},
	"passes":               {EN: "passes", ZH: "通过"},
	"action hold":          {EN: "hold", ZH: "暂缓"},
	"action pace":          {EN: "pace", ZH: "限速"},
	"action approval":      {EN: "ask for approval", ZH: "审批"},
	"action defer":         {EN: "defer", ZH: "暂拒"},
	"action reject":        {EN: "reject", ZH: "拒收"},
	"action route":         {EN: "route elsewhere", ZH: "改道"},
	"action tag":           {EN: "tag", ZH: "标记"},
	"action log":           {EN: "log", ZH: "记录"},
	"key identity":         {EN: "each sender", ZH: "每个发件人"},
	"key sender_domain":    {EN: "each sender domain", ZH: "每个发件域"},
	"key network":          {EN: "each client network", ZH: "每个客户端网络"},
	"key recipient_domain": {EN: "each recipient domain", ZH: "每个收件域"},
	"key destination":      {EN: "each mail service", ZH: "每个邮件服务商"},
	"key gateway":          {EN: "all together", ZH: "整个网关"},
	"hold rule":            {EN: "HOLD RULE", ZH: "暂缓规则"},
	"limit rule":           {EN: "LIMIT RULE", ZH: "限额规则"},
	"hold for":             {EN: "FOR", ZH: "时长"},
	"default rule":         {EN: "(all others)", ZH: "（其他邮件）"},
	"mode":                 {EN: "MODE", ZH: "状态"},
	"for whom":             {EN: "FOR WHOM", ZH: "对象"},
	"action":               {EN: "ACTION", ZH: "动作"},
	"looked at":            {EN: "looked at %d {message|messages} to %d {recipient|recipients} since %s", ZH: "已检查 %d 封邮件、%d 个收件人（%s 起）"},
	"broken":               {EN: "BROKEN", ZH: "超限邮件"},
	"would hold":           {EN: "WOULD HOLD", ZH: "将暂缓"},
	"would refuse":         {EN: "WOULD REFUSE", ZH: "将拒收"},
	"senders":              {EN: "SENDERS", ZH: "发件人数"},
	"severity":             {EN: "SEVERITY", ZH: "级别"},
	"severity info":        {EN: "info", ZH: "提示"},
	"severity warning":     {EN: "warning", ZH: "警告"},
	"severity critical":    {EN: "critical", ZH: "严重"},
	"last":                 {EN: "LAST", ZH: "最近一次"},
	"times":                {EN: "COUNT", ZH: "次数"},
	"what":                 {EN: "WHAT", ZH: "事项"},
	"seen by":              {EN: "SEEN BY", ZH: "已确认"},
	"number":               {EN: "NUMBER", ZH: "编号"},
	"object":               {EN: "OBJECT", ZH: "对象"},
	"detail":               {EN: "DETAIL", ZH: "详情"},
	"audit whole":          {EN: "whole: %d {entry|entries}; the newest has the hash %s", ZH: "完整：共 %d 条，最新一条的哈希为 %s"},
	"audit broken":         {EN: "NOT WHOLE: %s", ZH: "不完整：%s"},
	"more audit":           {EN: "older ones: --before %d", ZH: "更早的记录：--before %d"},
	"no alerts":            {EN: "no alerts", ZH: "没有告警"},
	"acknowledged":         {EN: "%s seen: %s", ZH: "%s 已确认：%s"},
	"messages":             {EN: "MESSAGES", ZH: "邮件数"},
	"in 1 h":               {EN: "REACHED 1 H", ZH: "1 小时人数"},
	"in 24 h":              {EN: "REACHED 24 H", ZH: "24 小时人数"},
	"reach":                {EN: "%d different ones in 24 h, %d in 1 h", ZH: "24 小时内 %d 人，其中 1 小时内 %d 人"},
	"level":                {EN: "LEVEL", ZH: "处置级别"},
	"decision":             {EN: "DECISION", ZH: "人工决定"},
	"first seen":           {EN: "FIRST", ZH: "首次出现"},
	"waiting":              {EN: "WAITING", ZH: "等待审批"},
	"hour":                 {EN: "HOUR", ZH: "小时"},
	"several accounts":     {EN: "several accounts", ZH: "多账号发送"},
	"over":                 {EN: "over", ZH: "已过期"},
	"no campaigns":         {EN: "no campaigns", ZH: "没有群发"},
	"more campaigns":       {EN: "%d more with a higher --limit", ZH: "另有 %d 个，可加大 --limit"},
	"alike":                {EN: "(%d %% alike)", ZH: "（相似度 %d %%）"},
	"text gone":            {EN: "(the text is not kept any more)", ZH: "（正文已不再保存）"},
	"no text":              {EN: "(no text)", ZH: "（无正文）"},
	"look at campaign":     {EN: "see: sendgate campaigns %s", ZH: "查看：sendgate campaigns %s"},
	"in campaign":          {EN: "campaign %s", ZH: "群发 %s"},
	"notices":              {EN: "tells", ZH: "提示"},
	"campaign approved":    {EN: "%s approved, waiting messages let go: %d", ZH: "%s 已批准，放行等待中的邮件 %d 封"},
	"campaign canceled":    {EN: "%s stopped, waiting messages taken back: %d", ZH: "%s 已终止，撤回等待中的邮件 %d 封"},
	"campaign slowed":      {EN: "%s goes at a pace, waiting messages let go: %d", ZH: "%s 已限速，放行等待中的邮件 %d 封"},
	"campaign allowed":     {EN: "%s allowed, waiting messages let go: %d", ZH: "%s 已允许，放行等待中的邮件 %d 封"},
	"campaign withdrawn":   {EN: "%s: the decision is withdrawn, waiting messages changed: %d", ZH: "%s：已撤销决定，变更等待中的邮件 %d 封"},
	"nothing taken":        {EN: "nothing could be taken back", ZH: "没有可撤回的收件人"},
	"group":                {EN: "GROUP", ZH: "群组"},
	"failed":               {EN: "FAILED", ZH: "失败"},
	"open":                 {EN: "OPEN", ZH: "处理中"},
	"blocked by":           {EN: "BLOCKED BY", ZH: "受阻于"},
	"related":              {EN: "REPLY OR FORWARD", ZH: "回复或转发"},
	"cancel too":           {EN: "still held: sendgate cancel %s", ZH: "仍可取消：sendgate cancel %s"},
	"approved by":          {EN: "APPROVED BY", ZH: "批准人"},
	"ended":                {EN: "ENDED", ZH: "结束时间"},
	"approve it":           {EN: "waits until %s for a second person: sendgate recalls approve %s", ZH: "等待第二人批准（至 %s）：sendgate recalls approve %s"},
	"unclear":              {EN: "of %d it cannot be told yet", ZH: "%d 个暂时无法判断"},
	"needs approval":       {EN: "a second person would have to approve it", ZH: "需要第二人批准"},
	"corrected":            {EN: "later evidence has corrected what was said before", ZH: "后续证据已更正之前的结果"},
	"see recall":           {EN: "%s: sendgate recalls %s", ZH: "%s：sendgate recalls %s"},
	"goes on":              {EN: "the recall goes on: sendgate recalls %s", ZH: "撤回仍在进行：sendgate recalls %s"},
	"progress":             {EN: "%d %%: %d taken back, %d failed, %d open", ZH: "%d %%：已撤回 %d，失败 %d，处理中 %d"},
	"recallable":           {EN: "CAN BE RECALLED", ZH: "撤回"},
	"available until":      {EN: "until %s", ZH: "%s 前可撤回"},
	"available":            {EN: "as long as it waits", ZH: "在队列中时可撤回"},
	"recalls":              {EN: "RECALLS", ZH: "撤回次数"},
	"recalls counted":      {EN: "%d {recall|recalls} since %s, %d of %d {recipient|recipients} taken back", ZH: "%[2]s 起共撤回 %[1]d 次，%[4]d 个收件人中成功 %[3]d 个"},
	"asked after":          {EN: "ASKED AFTER", ZH: "发出后"},
	"longer":               {EN: "longer", ZH: "更久"},
	"with a hold of":       {EN: "WITH A HOLD OF", ZH: "若暂缓"},
	"recalls within":       {EN: "RECALLS WITHIN IT", ZH: "期间提出的撤回"},
	"more taken":           {EN: "MORE TAKEN BACK", ZH: "可多撤回人数"},

	"overall all_success":       {EN: "taken back", ZH: "全部成功"},
	"overall partial":           {EN: "partly taken back", ZH: "部分成功"},
	"overall all_failed":        {EN: "nothing taken back", ZH: "全部失败"},
	"overall in_progress":       {EN: "in progress", ZH: "处理中"},
	"overall awaiting_approval": {EN: "waits for approval", ZH: "等待批准"},
	"overall rejected":          {EN: "rejected: nobody approved it in time", ZH: "已拒绝：未在期限内获批"},
	"overall cancelled":         {EN: "cancelled", ZH: "已取消"},
}

// kinds are the events as people call them.
var kinds = map[policy.Kind]policy.Label{
	policy.Accepted:          {EN: "accepted", ZH: "已接收"},
	policy.Held:              {EN: "held", ZH: "暂缓发送"},
	policy.HoldChanged:       {EN: "hold changed", ZH: "调整暂缓"},
	policy.Approved:          {EN: "approved", ZH: "审批通过"},
	policy.Released:          {EN: "released", ZH: "放行"},
	policy.Offered:           {EN: "offered", ZH: "直接转交"},
	policy.Canceled:          {EN: "taken back", ZH: "已撤回"},
	policy.Resent:            {EN: "sent again", ZH: "重新发送"},
	policy.Refused:           {EN: "refused", ZH: "拒收"},
	policy.NeverQueued:       {EN: "never queued", ZH: "未进入队列"},
	policy.HandedOver:        {EN: "handed over", ZH: "已转交"},
	policy.Queued:            {EN: "queued", ZH: "排队中"},
	policy.Deferred:          {EN: "deferred", ZH: "稍后重试"},
	policy.DeliveredMailbox:  {EN: "delivered", ZH: "已投递到邮箱"},
	policy.RelayedRemote:     {EN: "relayed", ZH: "已投递到对方服务器"},
	policy.Expanded:          {EN: "expanded", ZH: "群组展开"},
	policy.Bounced:           {EN: "bounced", ZH: "退信"},
	policy.Expired:           {EN: "expired", ZH: "超时放弃"},
	policy.AsyncBounced:      {EN: "bounced later", ZH: "事后退信"},
	policy.Blocked:           {EN: "blocked", ZH: "被拦截"},
	policy.RecallRequested:   {EN: "recall requested", ZH: "请求撤回"},
	policy.RecallOutcome:     {EN: "recall outcome", ZH: "撤回结果"},
	policy.RecallApproved:    {EN: "recall approved", ZH: "撤回获批"},
	policy.RecallEnded:       {EN: "recall ended", ZH: "撤回结束"},
	policy.Restored:          {EN: "restored", ZH: "已恢复"},
	policy.ForwardedSeen:     {EN: "seen forwarded", ZH: "发现已转发"},
	policy.ReadSeen:          {EN: "seen read", ZH: "发现已读"},
	policy.Unknown:           {EN: "unknown", ZH: "状态未知"},
	policy.Notified:          {EN: "sender told", ZH: "已通知发件人"},
	policy.Suspended:         {EN: "suspended", ZH: "已停用"},
	policy.Unsuspended:       {EN: "unsuspended", ZH: "已恢复使用"},
	policy.Boosted:           {EN: "boosted", ZH: "临时提额"},
	policy.ConfigChanged:     {EN: "configuration changed", ZH: "配置变更"},
	policy.Login:             {EN: "login", ZH: "登录"},
	policy.ApprovalRequested: {EN: "waits for approval", ZH: "等待审批"},
	policy.Overridden:        {EN: "limit changed", ZH: "调整限额"},
	policy.UsageReset:        {EN: "usage reset", ZH: "清零计数"},
	policy.CampaignDecided:   {EN: "campaign decided", ZH: "处置群发"},
	policy.Erased:            {EN: "a person was erased from it", ZH: "已清除个人数据"},
	policy.BypassStarted:     {EN: "rules bypassed", ZH: "规则已旁路"},
	policy.BypassEnded:       {EN: "rules apply again", ZH: "规则恢复生效"},
	policy.Dequeued:          {EN: "left the queue", ZH: "已离开队列"},
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
	return countedNouns(fmt.Sprintf(text, values...))
}

// numbered is a number with the words after it.
func numbered[N int | int64 | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// afterCount is what English says of one and of any other number: "%d {recipient|recipients}".
var afterCount = regexp.MustCompile(`(\d+) \{([a-z ]+)\|([a-z ]+)\}`)

// countedNouns chooses the words after numbers.
func countedNouns(text string) string {
	return afterCount.ReplaceAllStringFunc(text, func(found string) string {
		m := afterCount.FindStringSubmatch(found)
		if m[1] == "1" {
			return "1 " + m[2]
		}
		return m[1] + " " + m[3]
	})
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
