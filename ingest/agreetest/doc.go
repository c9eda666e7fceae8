// Package agreetest holds training to serving: for random streams, what the online
// store answers after exactly the rows known by T, asked at T, is what the join gives for T.
//
// There is nothing here but tests. Read stream_test.go for how a world of
// offline/jointest becomes events, then agree_test.go.
package agreetest
