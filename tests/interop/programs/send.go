// send.go OPTIONS.json - one message by Go's net/smtp, as its documentation shows it.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/smtp"
	"os"
)

type options struct {
	Port                      int
	Implicit                  bool
	CA, From, To, Identity    string
	User, Password, External  string
	Message, Certificate, Key string
}

// external is the mechanism EXTERNAL for the package's interface Auth.
type external struct {
	identity string
	atOnce   bool
}

func (e external) Start(*smtp.ServerInfo) (string, []byte, error) {
	if e.atOnce {
		return "EXTERNAL", []byte(e.identity), nil
	}
	return "EXTERNAL", nil, nil
}

func (e external) Next(_ []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	return []byte(e.identity), nil
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func slurp(name string) []byte {
	b, err := os.ReadFile(name)
	must(err)
	return b
}

func connect(o options, config *tls.Config) *smtp.Client {
	address := fmt.Sprintf("localhost:%d", o.Port)
	if o.Implicit {
		conn, err := tls.Dial("tcp", address, config)
		must(err)
		c, err := smtp.NewClient(conn, "localhost")
		must(err)
		return c
	}
	c, err := smtp.Dial(address)
	must(err)
	must(c.StartTLS(config))
	return c
}

func main() {
	var o options
	must(json.Unmarshal(slurp(os.Args[1]), &o))
	config := &tls.Config{ServerName: "localhost", RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(slurp(o.CA))
	if o.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(o.Certificate, o.Key)
		must(err)
		config.Certificates = []tls.Certificate{pair}
	}
	c := connect(o, config)
	if o.External != "" {
		must(c.Auth(external{o.Identity, o.External == "initial"}))
	} else if o.Password != "" {
		must(c.Auth(smtp.PlainAuth("", o.User, o.Password, "localhost")))
	}
	must(c.Mail(o.From))
	must(c.Rcpt(o.To))
	w, err := c.Data()
	must(err)
	_, err = w.Write(slurp(o.Message))
	must(err)
	must(w.Close())
	must(c.Quit())
}
