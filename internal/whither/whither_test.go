package whither_test

import (
	"net/netip"
	"testing"

	"github.com/freshet/freshet/internal/whither"
)

func TestStanding(t *testing.T) {
	for text, want := range map[string]whither.Stance{
		"1.1.1.1": whither.Outward, "13.32.1.2": whither.Outward, "2600:9000::1": whither.Outward, "172.32.0.1": whither.Outward, "100.128.0.1": whither.Outward, "169.253.255.255": whither.Outward, "2001:db8::1": whither.Outward,
		"127.0.0.1": whither.Inward, "127.255.255.254": whither.Inward, "10.1.2.3": whither.Inward, "172.16.0.1": whither.Inward, "172.31.255.255": whither.Inward, "192.168.1.1": whither.Inward, "100.64.0.1": whither.Inward, "198.18.0.1": whither.Inward, "::1": whither.Inward, "fd12::1": whither.Inward,
		"169.254.169.254": whither.Never, "169.254.0.1": whither.Never, "0.0.0.0": whither.Never, "0.1.2.3": whither.Never, "224.0.0.1": whither.Never, "255.255.255.255": whither.Never, "168.63.129.16": whither.Never, "100.100.100.200": whither.Never, "192.0.0.192": whither.Never,
		"::": whither.Never, "fe80::1": whither.Never, "febf::1": whither.Never, "ff02::1": whither.Never, "fd00:ec2::254": whither.Never, "fd00:ec2::23": whither.Never, "fd20:ce::254": whither.Never, "fec0::1": whither.Never,
		"::ffff:169.254.169.254": whither.Never, "::ffff:127.0.0.1": whither.Inward, "::ffff:1.1.1.1": whither.Outward,
		"64:ff9b::a9fe:a9fe": whither.Never, "64:ff9b::7f00:1": whither.Inward, "64:ff9b::101:101": whither.Outward, "64:ff9b:1::a9fe:a9fe": whither.Never,
		"2002:a9fe:a9fe::1": whither.Never, "2002:7f00:1::": whither.Inward, "2002:101:101::": whither.Outward,
		"::a9fe:a9fe": whither.Never, "::7f00:1": whither.Inward,
		"2001:0:101:101:0:0:5601:5601": whither.Never, // Teredo: 169.254.169.254 with all bits turned
		"2600::5efe:a9fe:a9fe":         whither.Never, // ISATAP
		"2600::200:5efe:7f00:1":        whither.Inward,
	} {
		if got := whither.Of(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
	if whither.Of(netip.Addr{}) != whither.Never {
		t.Error("no address is dialed")
	}
}
