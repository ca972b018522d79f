// Package freshet holds the words of the house: what a change is, what it
// makes stale, what will be done about it and what was seen afterwards. They
// are values without input or output; everything that talks to the world lives
// under internal.
//
// A batch moves from left to right:
//
//	[]Change → Latest → route → []Target → plan → Plan → apply → []Receipt → verify → []Verdict
package freshet
