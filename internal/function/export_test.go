package function

// Patient is limits without one on time, so that it is always another that ends
// a run, however busy the machine is.
func Patient(l Limits) Limits {
	l.patient = true
	return l
}
