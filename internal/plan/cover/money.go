package cover

import (
	"cmp"
	"math"
	"math/bits"

	"github.com/freshet/freshet/internal/inventory"
)

// money is in picodollars, so that sums are exact and equal costs are equal.
type money int64

const (
	most       money = 1 << 61 // sums stop growing here: two million dollars
	impossible money = 1 << 62 // not at any price
	perDollar        = 1e12
)

func picodollars(dollars float64) money {
	return money(math.Round(min(dollars*perDollar, float64(most))))
}

func (m money) dollars() float64 { return float64(m) / perDollar }

func (m money) plus(n money) money {
	if m == impossible || n == impossible {
		return impossible
	}
	return min(m+n, most)
}

func (m money) times(n int64) money {
	high, low := bits.Mul64(uint64(m), uint64(max(n, 0)))
	if high != 0 || low > uint64(most) {
		return most
	}
	return money(low)
}

// tariff is Prices in whole picodollars.
type tariff struct{ pattern, object, byte money }

func newTariff(p Prices) tariff {
	return tariff{picodollars(p.Pattern), picodollars(p.RefillObject), picodollars(p.RefillByte)}
}

// refill is what fetching s again costs.
func (t tariff) refill(s inventory.Sum) money {
	return t.object.times(s.Refills).plus(t.byte.times(s.RefillBytes))
}

func (t tariff) cost(patterns int, cold inventory.Sum) Cost {
	p, r := t.pattern.times(int64(patterns)), t.refill(cold)
	return Cost{Patterns: p.dollars(), Refill: r.dollars(), Total: p.plus(r).dollars()}
}

// value is what covers are compared by, field by field.
type value struct {
	cost     money
	cold     int64 // objects
	wild     int32
	patterns int32
}

func (v value) plus(w value) value {
	return value{v.cost.plus(w.cost), v.cold + w.cold, v.wild + w.wild, v.patterns + w.patterns}
}

func (v value) compare(w value) int {
	return cmp.Or(cmp.Compare(v.cost, w.cost), cmp.Compare(v.cold, w.cold), cmp.Compare(v.wild, w.wild), cmp.Compare(v.patterns, w.patterns))
}

func (v value) less(w value) bool {
	if v.cost != w.cost {
		return v.cost < w.cost
	}
	return v.compare(w) < 0
}

func (v value) possible() bool { return v.cost != impossible }
