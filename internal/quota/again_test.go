package quota

import (
	"reflect"
	"testing"
	"time"
)

// A sender that is alone sees its record as it would come back from a store, and
// what others still hold of it is not changed.
func TestBookAgain(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	far := now.Add(time.Hour)
	k := book{Pace: 0.5, Resume: far, Strikes: 2, Month: "2026-11", Spent: 7, Charged: []uint32{1, 2}, read: true,
		Recent: []spending{{Reference: "gone", Until: far}, {Use: Use{Patterns: 3}, Reference: "kept", Until: now.Add(time.Second)}},
		Windows: map[string]window{"E1": {Pace: 1, Resume: far, Looked: far, Known: map[string]progress{
			"ahead": {At: far, Taken: true}, "I1": {Use: Use{Patterns: 1}, At: now.Add(-time.Second)},
		}}},
	}
	before, err := k.text()
	if err != nil {
		t.Fatal(err)
	}
	want, err := readBook(before, "", now)
	if err != nil {
		t.Fatal(err)
	}
	if got := k.again(now); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if after, err := k.text(); err != nil || string(after) != string(before) {
		t.Errorf("it changed from %s\nto %s (%v)", before, after, err)
	}
}
