package fleet

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

const (
	// skew is how much clocks of nodes may differ.
	skew = time.Hour
	// certLife is long, because a cluster goes on without its controller; each session brings a new certificate.
	certLife = 2 * 365 * 24 * time.Hour
	caLife   = 20 * 365 * 24 * time.Hour
)

// certify signs a node's key with the cluster's CA, which is made at first need.
func (f *Fleet) certify(ctx context.Context, c *statev1.Cluster, n *statev1.Node, public []byte) (cert, ca []byte, err error) {
	if len(c.GetCaCert()) == 0 {
		if c, err = f.makeCA(ctx, c.GetId(), c.GetName()); err != nil {
			return nil, nil, err
		}
	}
	caCert, caKey, err := f.openCA(c)
	if err != nil {
		return nil, nil, fmt.Errorf("the CA of cluster %s: %w", c.GetName(), err)
	}
	pub, err := x509.ParsePKIXPublicKey(public)
	if err != nil {
		return nil, nil, fmt.Errorf("the agent's key: %w", err)
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: n.GetName()}, DNSNames: []string{n.GetId()},
		NotBefore: now.Add(-skew), NotAfter: now.Add(certLife), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, caCert, pub, caKey)
	if err != nil {
		return nil, nil, fmt.Errorf("sign the agent's key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), c.GetCaCert(), nil
}

// makeCA gives a cluster its CA unless it has got one meanwhile.
func (f *Fleet) makeCA(ctx context.Context, clusterID, name string) (*statev1.Cluster, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the cluster's CA: %w", err)
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "cluster " + name}, NotBefore: now.Add(-skew), NotAfter: now.Add(caLife),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make the cluster's CA: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make the cluster's CA: %w", err)
	}
	sealed, err := f.o.Seal.Seal(pkcs8)
	if err != nil {
		return nil, fmt.Errorf("seal the cluster's CA: %w", err)
	}
	var c *statev1.Cluster
	err = f.update(ctx, "record the cluster's CA", func(tx store.Tx) error {
		var err error
		if c, err = store.GetCluster(tx, clusterID); err != nil || len(c.GetCaCert()) > 0 {
			return err
		}
		c.CaCert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		c.CaKeySealed = sealed
		return tx.Put(store.Cluster, clusterID, c)
	})
	return c, err
}

func (f *Fleet) openCA(c *statev1.Cluster) (*x509.Certificate, crypto.Signer, error) {
	block, _ := pem.Decode(c.GetCaCert())
	if block == nil {
		return nil, nil, errors.New("its certificate is not PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, nil, err
	}
	plain, err := f.o.Seal.Open(c.GetCaKeySealed())
	if err != nil {
		return nil, nil, fmt.Errorf("unseal its key: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, nil, err
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, nil, errors.New("its key cannot sign")
	}
	return cert, key, nil
}

func serial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return new(big.Int).SetBytes(b[:])
}
