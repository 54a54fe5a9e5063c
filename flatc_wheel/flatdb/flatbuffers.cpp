/* FlatBuffers' parser, compiled here with our idea of an assertion. */
#include "failure.h"

#include "src/idl_parser.cpp"
#include "src/util.cpp"
