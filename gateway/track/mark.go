package track

// A mark is the end of a batch: the cursor of its source, and how much of the batch is not yet
// settled. The kept cursor is that of the last mark before which everything is.
type mark struct {
	cursor string
	open   int // queue files with lines in the batch that wait, and works that have such lines
	done   bool
}

// marks are those of one source in order.
type marks []*mark

// settled drops the marks that nothing holds back any more and gives the last cursor of them.
func (m *marks) settled() (cursor string) {
	for len(*m) > 0 && (*m)[0].done && (*m)[0].open == 0 {
		if c := (*m)[0].cursor; c != "" {
			cursor = c
		}
		*m = (*m)[1:]
	}
	return cursor
}
