package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/policy/similar"
)

// composed makes a letter from halves of sentences.
func composed(r *rand.Rand, chinese bool) string {
	pick := func(s string) string { return pick(r, strings.Fields(s)) }
	var b strings.Builder
	for range 12 {
		if chinese {
			b.WriteString(pick("客户 项目 合同 发票 会议 报告 预算 设备 订单 供应商 仓库") + pick("已经 尚未 必须 可以 准备 暂时不") + pick("确认 提交 更新 检查 安排 讨论 完成 批准") +
				pick("进度 清单 数据 文件 流程 价格 细节 条款 名单 风险") + pick("，请知悉。 ，谢谢配合。 ，原因待查。 ，下周再议。") + "\n")
			continue
		}
		fmt.Fprintf(&b, "The %s %s %s our %s and %s.\n", pick("customer project contract invoice meeting report budget machine order supplier"),
			pick("should must cannot might will"), pick("confirm submit update inspect arrange discuss finish approve cancel"),
			pick("progress list data documents process prices details terms names risks"), pick("waits leaves returns agrees objects"))
	}
	return b.String()
}

func writeCorpus(t *testing.T) string {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 120 {
		folder := filepath.Join(dir, fmt.Sprint("folder", i%3))
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		d := draft{text: composed(r, i%2 == 0), subject: fmt.Sprint("letter ", i), to: "Joe", html: i%5 == 0}
		raw := strings.Replace(string(d.write(r)), "sales", fmt.Sprint("person", i), 1)
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprint(i)), []byte(raw), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func newSimilarIndex(t *testing.T) *similar.Index {
	cfg := similar.DefaultConfig()
	cfg.Seed[0] = 1
	x, err := similar.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestMutationsChangeTheMessageAndAreRecognised(t *testing.T) {
	x := newSimilarIndex(t)
	letters, err := readCorpus(writeCorpus(t), x)
	if err != nil || len(letters) != 120 {
		t.Fatalf("%d letters: %v", len(letters), err)
	}
	b := &similarBench{index: x, letters: letters, rand: rand.New(rand.NewPCG(3, 4))}
	for _, mu := range mutations() {
		hits, n, changed := 0, 0, 0
		for m, base := range b.mutators(30) {
			for _, l := range base {
				d := draft{text: l.text, subject: "s", html: l.html, size: l.sig.Units()}
				before := d
				if mu.do(m, &d); d != before {
					changed++
				}
				if n++; b.known(m, mu, l) {
					hits++
				}
			}
		}
		if n != 60 || percent(hits, n) < 70 || changed < n/3 && mu.name != "encoding" {
			t.Errorf("%s: %d of %d found, %d changed", mu.name, hits, n, changed)
		}
	}
}

func TestSimilarNeedsMessages(t *testing.T) {
	for want, args := range map[string][]string{
		"similar: say where the messages are: --corpus DIR": nil,
		"no messages with text in":                          {"--corpus", t.TempDir()},
	} {
		if err := benchSimilar(t.Context(), args); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v", err)
		}
	}
}

func TestSameSeedGivesTheSameCopies(t *testing.T) {
	x := newSimilarIndex(t)
	letters, err := readCorpus(writeCorpus(t), x)
	if err != nil {
		t.Fatal(err)
	}
	write := func() string {
		r := rand.New(rand.NewPCG(9, 9))
		m := &mutator{Rand: r, letters: letters, words: vocabulary(letters, false)}
		var b strings.Builder
		for _, mu := range mutations() {
			d := draft{text: letters[0].text, size: 100}
			mu.do(m, &d)
			b.Write(d.write(r))
		}
		return b.String()
	}
	if one, two := write(), write(); one != two {
		t.Error("two runs differ")
	}
}
