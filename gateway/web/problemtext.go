package web

import "net/http"

// chineseTitle is the title of a problem, which is that of its status (RFC 9457 4.2.1).
func chineseTitle(status int) string {
	if title, ok := chineseTitles[status]; ok {
		return title
	}
	return http.StatusText(status)
}

// chineseDetail is what a problem says in Chinese: the words of its cause, else those of its code. Empty when
// there are none.
func chineseDetail(p *Problem) string {
	if p.chinese != "" {
		return p.chinese
	}
	return chineseDetails[p.Code]
}

var chineseTitles = map[int]string{
	400: "请求有误",
	401: "未认证",
	403: "无权限",
	404: "未找到",
	405: "方法不允许",
	406: "无法提供所要求的格式",
	408: "请求超时",
	409: "状态冲突",
	410: "已失效",
	411: "缺少长度",
	412: "条件不满足",
	413: "请求体过大",
	415: "不支持的媒体类型",
	422: "请求无法处理",
	429: "请求过于频繁",
	500: "系统内部错误",
	501: "不支持",
	502: "上游故障",
	503: "暂时不可用",
	504: "上游超时",
	507: "存储空间不足",
}

// chineseDetails are by code. Where a code has several details in English, they say what these share.
var chineseDetails = map[string]string{
	"already_acknowledged":   "该告警已有人确认",
	"ambiguous_match":        "有多位发件人的邮件使用该 Message-ID，请改用 sendgate 的邮件 ID 指定",
	"backup_running":         "已有备份正在进行",
	"bad_domain":             "域名格式不正确",
	"body_gone":              "该邮件的副本已过保存期并被删除，请从“已发送”文件夹重发",
	"bounce_own":             "退信用于告知邮件被管理员终止，不能用于本人的邮件",
	"bounce_reason_required": "请在 reason 中填写原因：发件人会在退信中看到",
	"conflict":               "状态刚刚发生变化，请重新查看后再试",
	"draining":               "系统正在排空并准备停止",
	"foreign_site":           "该请求来自其他站点：请打开控制台后重试",
	"hold_end":               "不能暂缓这么长时间",
	"hold_too_long":          "不能暂缓这么长时间",
	"internal":               "系统内部错误，详情见 sendgate 日志",
	"invalid_address":        "地址不正确，或邮件中没有该收件人",
	"invalid_amount":         "数量不正确",
	"invalid_cursor":         "游标无效：请使用上一页返回的 next",
	"invalid_history":        "历史范围不正确",
	"invalid_identity":       "账号格式不正确",
	"invalid_person":         "人员须以地址或账号表示，不含空格和引号",
	"invalid_query":          "无法识别该搜索条件，详见 detail_en",
	"invalid_request":        "请求格式不正确，详见 detail_en 与 errors",
	"invalid_rules":          "规则不正确，详见 detail_en",
	"invalid_time":           "时间不正确，详见 detail_en",
	"invalid_window":         "时间窗口不正确",
	"legal_hold":             "此人受法律保留（recall.legal_hold），不能清除",
	"suspended":              "该账号已被暂停：请先解除暂停，否则清除后将无法继续限制其发信",
	"long_reason":            "原因过长",
	"method_not_allowed":     "该路径不支持此方法，支持的方法见 Allow 头",
	"no_act":                 "请选择要执行的操作",
	"no_approval":            "邮件不在待审批状态",
	"no_body":                "系统未保存该邮件的副本，请从“已发送”文件夹重发",
	"no_dashboard":           "未启用控制台",
	"no_session":             "没有该会话，或会话已结束",
	"no_source":              "系统没有该邮件的副本",
	"none_picked":            "请至少选择一封邮件",
	"not_available":          "当前不可用",
	"not_bypassed":           "当前未处于旁路放行状态",
	"not_cancelled":          "没有可取消的内容：邮件已发出、正在发送，或此前已撤回",
	"queue_unreachable":      "暂时无法查询或更改邮件服务器的队列，尚不能确定邮件是否已撤回，系统也不会自动重试。请稍后再查看该邮件，或发起撤回（撤回会持续到有结果为止）",
	"not_draining":           "当前未在排空",
	"not_ended":              "邮件仍在投递中",
	"not_found":              "对象不存在，或已超过保存期",
	"not_held":               "邮件已不在暂缓中",
	"not_local":              "只有本地用户可以执行此操作",
	"not_returned":           "只能向已退信的收件人重新发送",
	"not_suspended":          "该账号未被暂停外发",
	"not_tracked":            "未配置投递日志跟踪",
	"nothing_decided":        "该群发尚无人工决定，没有可撤销的内容",
	"nothing_failed":         "该邮件没有投递失败的收件人",
	"nothing_granted":        "没有可撤销的临时调整",
	"partial":                "部分操作未成功，详见 detail_en",
	"permission_denied":      "当前角色或令牌无此权限，详见 detail_en",
	"query_too_broad":        "搜索条件过于宽泛，请写得更具体",
	"reason_required":        "请填写原因",
	"setup_done":             "初始设置已完成",
	"shutting_down":          "系统正在关闭",
	"store_full":             "磁盘空间不足，释放空间前无法写入",
	"too_many_messages":      "单次最多撤回 20000 封邮件，请减少选择或缩小搜索范围",
	"too_many_picked":        "单次最多选择 1000 封邮件",
	"took_too_long":          "耗时过长，已中止：请缩小范围",
	"unauthorized":           "需要有效的令牌：请以 Authorization: Bearer 令牌 的形式发送",
	"unknown_rule":           "没有该规则",
	"webhook_not_found":      "没有该 Webhook",
	"unreadable":             "无法读取上传的内容",
	"webhook_refused":        "接收方没有接受测试事件",
}
