package bucket

func serveForTest(dir string) {}
