package similar

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

var testSeed = [16]byte{7, 1, 9, 4, 3, 3, 8, 8, 5, 2, 1, 6, 6, 0, 2, 4}

func newIndex(t testing.TB, change ...func(*Config)) *Index {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Seed = testSeed
	for _, c := range change {
		c(&cfg)
	}
	x, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// messageID gives ids that sort by their number.
func messageID(n int) (id policy.ID) {
	id[0] = 1
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

func people(from, to int) []policy.Address {
	var list []policy.Address
	for i := from; i < to; i++ {
		list = append(list, policy.Address(fmt.Sprintf("person%d@far.example", i)))
	}
	return list
}

// Words to compose business mail from.
var (
	zhSubjects = strings.Fields("客户 项目 合同 付款 发票 会议 报告 预算 设备 订单 供应商 仓库 方案 培训 系统 部门 计划 样品 物流 报价 审批 质量 市场 员工 工厂")
	zhVerbs    = strings.Fields("确认 提交 更新 检查 安排 讨论 完成 延期 准备 批准 调整 通知 联系 整理 审核 采购 交付 评估 签署 回复 汇总 核对 跟进 取消")
	zhObjects  = strings.Fields("进度 清单 时间 数据 文件 流程 价格 细节 结果 条款 责任 名单 地点 方式 原因 需求 风险 标准 意见 目标 手续 说明 情况 余款 账目")
	zhLinks    = strings.Fields("请尽快 我们已经 下周将 目前还没有 希望你们 根据要求 由于人手不足 按照惯例 如果方便 经过研究 建议先 必须马上 最好能 暂时不必 领导要求")
	enSubjects = strings.Fields("customer project contract payment invoice meeting report budget machine order supplier warehouse proposal training system department plan sample shipment quotation approval quality market staff factory")
	enVerbs    = strings.Fields("confirm submit update inspect arrange discuss finish postpone prepare approve adjust announce contact sort audit purchase deliver assess sign answer summarise verify pursue cancel")
	enObjects  = strings.Fields("progress list schedule figures documents process price details results terms duties names location method cause needs risks standard opinions targets paperwork notes status balance accounts")
	enLinks    = strings.Fields("please kindly already tomorrow meanwhile however therefore usually perhaps afterwards immediately probably apparently finally indeed")
)

// sentence composes one sentence.
func sentence(r *rand.Rand, zh bool) string {
	pick := func(l []string) string { return l[r.IntN(len(l))] }
	if zh {
		return pick(zhLinks) + pick(zhVerbs) + pick(zhSubjects) + "的" + pick(zhObjects) + "，" + pick(zhSubjects) + pick(zhObjects) + "也要" + pick(zhVerbs) + "。"
	}
	return strings.Join([]string{
		pick(enLinks), "the", pick(enSubjects), pick(enObjects), "should", pick(enVerbs), pick(enSubjects), "and", pick(enVerbs), "our",
		pick(enSubjects), pick(enObjects),
	}, " ") + "."
}

// businessText composes paragraphs of three sentences.
func businessText(r *rand.Rand, zh bool, paragraphs int) string {
	var b strings.Builder
	for range paragraphs {
		for range 3 {
			b.WriteString(sentence(r, zh))
			if !zh {
				b.WriteString(" ")
			}
		}
		b.WriteString("\n\n")
	}
	return b.String()
}

func languages(t *testing.T, f func(t *testing.T, zh bool)) {
	t.Helper()
	t.Run("English", func(t *testing.T) { f(t, false) })
	t.Run("Chinese", func(t *testing.T) { f(t, true) })
}
