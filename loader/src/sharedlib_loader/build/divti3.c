/* The division of 128-bit numbers, which zig's runtime of C++ calls for the times of files. Where it calls no more of the
 * kind, on x86-64, this keeps zig's own away: that is in one object with its memcpy, its mathematics and its
 * stack protector, which would come along in place of the C library's, slower and with a canary that everybody knows.
 */
typedef unsigned __int128 Number;

__int128 __divti3(__int128 dividend, __int128 divisor) {
    Number left = dividend < 0 ? -(Number)dividend : (Number)dividend;
    Number by = divisor < 0 ? -(Number)divisor : (Number)divisor;
    Number quotient = 0, rest = 0;
    for (int bit = 127; bit >= 0; bit--) {
        int carry = (int)(rest >> 127);
        rest = rest << 1 | (left >> bit & 1);
        if (carry || rest >= by) {
            rest -= by;
            quotient |= (Number)1 << bit;
        }
    }
    return (__int128)((dividend < 0) != (divisor < 0) ? -quotient : quotient);
}
