# email_mime.pl - messages as Perl's Email::MIME reads them, for t_corpora.py.
#
#     perl email_mime.pl FILE... > JSON
#
# For each file: its fields (names and raw values) and its parts (type and octets).
use strict;
use warnings;
use Email::MIME;
use JSON::PP;

sub hex_of { return unpack("H*", $_[0] // "") }

sub part {
    my ($mime, $depth, $to) = @_;
    my $type = $mime->content_type // "";
    push @$to, [$depth, hex_of($type), hex_of($mime->body_raw)] unless $mime->subparts;
    push @$to, [$depth, hex_of($type), ""] if $mime->subparts;
    part($_, $depth + 1, $to) for $mime->subparts;
}

my @all;
for my $path (@ARGV) {
    open my $f, "<:raw", $path or die "$path: $!";
    my $octets = do { local $/; <$f> } // "";
    my $mime = Email::MIME->new($octets);
    my @raw = $mime->header_obj->header_raw_pairs;
    my (@fields, @parts);
    while (my ($name, $value) = splice @raw, 0, 2) {
        push @fields, [hex_of($name), hex_of($value)];
    }
    part($mime, 0, \@parts);
    push @all, { fields => \@fields, parts => \@parts };
}
print JSON::PP->new->encode(\@all);
