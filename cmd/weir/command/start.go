package command

import _ "github.com/weir-ml/weir/internal/substrait" // without it every command would start three times as long
