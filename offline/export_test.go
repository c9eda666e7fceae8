package offline

// NewestIn is Newest with a memory of so many keys.
var NewestIn = newest
