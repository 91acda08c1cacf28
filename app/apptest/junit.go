package apptest

import (
	"encoding/xml"
	"fmt"
	"io"
	"time"
)

// junitSuites is the document that CI systems read: a suite for each file, a case for each test.
type junitSuites struct {
	XMLName  xml.Name      `xml:"testsuites"`
	Name     string        `xml:"name,attr"`
	Tests    int           `xml:"tests,attr"`
	Failures int           `xml:"failures,attr"`
	Time     string        `xml:"time,attr"`
	Suites   []*junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`

	took time.Duration
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the report as JUnit's XML. What XML cannot hold becomes U+FFFD.
func (r Report) WriteJUnit(out io.Writer) error {
	all := junitSuites{Name: "rollcall test", Tests: len(r.Results), Failures: r.Failed(), Time: seconds(r.Took)}
	var suite *junitSuite
	for _, result := range r.Results {
		if suite == nil || suite.Name != result.File {
			suite = &junitSuite{Name: result.File}
			all.Suites = append(all.Suites, suite)
		}
		c := junitCase{Class: result.File, Name: result.Name, Time: seconds(result.Took)}
		if c.Name == "" {
			c.Name = result.File
		}
		if f := result.Failure; f != nil {
			c.Failure = &junitFailure{Message: place(f.Place) + f.Message, Text: f.text("  ")}
			suite.Failures++
		}
		suite.Tests++
		suite.took += result.Took
		suite.Time = seconds(suite.took)
		suite.Cases = append(suite.Cases, c)
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	if _, err := fmt.Fprintf(out, "%s%s\n", xml.Header, text); err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	return nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
