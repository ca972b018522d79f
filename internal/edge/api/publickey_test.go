package api_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// pemOf is a public key as CloudFront wants it.
func pemOf(t *testing.T, public any) string {
	t.Helper()
	text, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: text}))
}

func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestPublicKeysOfEveryKind(t *testing.T) {
	c, ctx := goClient(serve(t, open(t, &edge{}, nil), nil).URL, secret), t.Context()
	create := func(name, text string) error {
		_, err := c.CreatePublicKey(ctx, &cloudfront.CreatePublicKeyInput{PublicKeyConfig: &types.PublicKeyConfig{CallerReference: &name, Name: &name, EncodedKey: &text}})
		return err
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, right, large := rsaKey(t, 1024), rsaKey(t, 2048), rsaKey(t, 3072)
	for name, text := range map[string]string{
		"RSA of 1,024 bits": pemOf(t, &small.PublicKey),
		"RSA of 3,072 bits": pemOf(t, &large.PublicKey),
		"P-384":             pemOf(t, &p384.PublicKey),
		"Ed25519":           pemOf(t, edwards),
		"two keys":          freshPEM(t) + freshPEM(t),
		"a private key":     string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(right)})),
		"PKCS #1":           string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&right.PublicKey)})),
		"nothing":           "",
	} {
		refusedAs(t, name, "InvalidArgument", create("wrong", text))
	}
	if err := create("rsa", pemOf(t, &right.PublicKey)); err != nil {
		t.Errorf("RSA of 2,048 bits: %v", err)
	}
	if err := create("ecdsa", freshPEM(t)); err != nil {
		t.Errorf("P-256: %v", err)
	}
	keys, err := c.ListPublicKeys(ctx, nil)
	if err != nil || len(keys.PublicKeyList.Items) != 2 {
		t.Fatalf("listed %+v, %v", keys, err)
	}
	id := *keys.PublicKeyList.Items[0].Id
	_, err = c.CreateKeyGroup(ctx, &cloudfront.CreateKeyGroupInput{KeyGroupConfig: &types.KeyGroupConfig{Name: aws.String("g"), Items: []string{id, id}}})
	refusedAs(t, "the same key twice in a group", "InvalidArgument", err)
}
