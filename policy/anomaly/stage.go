package anomaly

// Stage says how strongly to act on a message.
type Stage uint8

// The stages, in ascending order.
const (
	Pass    Stage = iota
	Log           // say so in the log
	Tag           // add a field to the header
	Pace          // let it go slowly
	Hold          // hold it until a person has looked
	Suspend       // bar the account from external recipients
)

var stageNames = [...]string{Pass: "pass", Log: "log", Tag: "tag", Pace: "pace", Hold: "hold", Suspend: "suspend"}

// String is the name in the API.
func (s Stage) String() string { return stageNames[min(s, Suspend)] }

// Stages are the scores from which on a stage is reached.
type Stages struct {
	// Log, Tag, Pace, Hold and Suspend are the scores from which each stage holds; 0 leaves a stage out.
	Log     int `yaml:"log"`
	Tag     int `yaml:"tag"`
	Pace    int `yaml:"pace"`
	Hold    int `yaml:"hold"`
	Suspend int `yaml:"suspend"`
}

// of gives the stage of a score.
func (s Stages) of(score int) Stage {
	stage := Pass
	for i, from := range s.list() {
		if score >= from {
			stage = Log + Stage(i)
		}
	}
	return stage
}

// From gives the score from which on a stage is reached.
func (s Stages) From(stage Stage) int {
	if stage == Pass {
		return 0
	}
	return s.list()[stage-Log]
}

func (s Stages) list() [5]int { return [...]int{s.Log, s.Tag, s.Pace, s.Hold, s.Suspend} }
