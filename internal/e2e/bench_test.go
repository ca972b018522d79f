package e2e_test

func serveBareStore(string) {}
