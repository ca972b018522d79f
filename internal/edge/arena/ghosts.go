package arena

// ghosts remember by their hashes what was evicted from the small queue: about as
// many as there are entries. It is no harm if some are confused or forgotten.
type ghosts struct {
	slots []uint64 // when, and a part of the hash; in rows
	now   uint32
	span  uint32 // for how many evictions one is remembered
}

// ghostRow is how many slots a hash may be in: a cache line.
const ghostRow = 8

func (g *ghosts) row(part uint64) []uint64 {
	at := int(part*uint64(len(g.slots)/ghostRow)>>32) * ghostRow
	return g.slots[at : at+ghostRow]
}

func part(h uint64) uint64 { return h >> 16 & (1<<32 - 1) }

// add remembers a hash, among at most so many, and returns how many bytes more the
// ghosts take.
func (g *ghosts) add(h uint64, most int) (more int64) {
	before := len(g.slots)
	if want := (most + most/4) / ghostRow * ghostRow; before == 0 || want > before || want < before/4 && before > 8*ghostRow {
		g.resize(max(want+want/4, 8*ghostRow) / ghostRow * ghostRow)
	}
	g.span = uint32(max(most, 1))
	g.now++
	g.put(uint64(g.now)<<32 | part(h))
	return int64(len(g.slots)-before) * 8
}

// put puts a slot in the place of the oldest in its row.
func (g *ghosts) put(slot uint64) {
	row := g.row(slot & (1<<32 - 1))
	oldest := 0
	for i, s := range row {
		if s == 0 {
			oldest = i
			break
		}
		if g.now-uint32(s>>32) > g.now-uint32(row[oldest]>>32) {
			oldest = i
		}
	}
	row[oldest] = slot
}

// take forgets a hash, and reports whether it was remembered.
func (g *ghosts) take(h uint64) bool {
	if len(g.slots) == 0 {
		return false
	}
	row := g.row(part(h))
	for i, s := range row {
		if s != 0 && s&(1<<32-1) == part(h) {
			row[i] = 0
			return g.now-uint32(s>>32) < g.span
		}
	}
	return false
}

func (g *ghosts) resize(n int) {
	old := g.slots
	g.slots = make([]uint64, n)
	for _, s := range old {
		if s != 0 {
			g.put(s)
		}
	}
}
