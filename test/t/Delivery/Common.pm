# Small functions that all parts of Delivery use.
package Delivery::Common;
use strict;
use warnings;

use Exporter 'import';
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

our @EXPORT = qw(now one chance);

# The time of a clock that only goes forward.
sub now { return clock_gettime(CLOCK_MONOTONIC) }

# One of the arguments, at random.
sub one { return $_[ rand @_ ] }

# True with the given probability.
sub chance { return rand() < $_[0] }

1;
