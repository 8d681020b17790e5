# send.pl OPTIONS.json - one message by Net::SMTP, as its manual shows it.
use strict;
use warnings;
use JSON::PP;
use Net::SMTP;

sub slurp { open my $f, '<:raw', $_[0] or die "$_[0]: $!"; local $/; return <$f> }

my $o = decode_json(slurp($ARGV[0]));
my %tls = (SSL_ca_file => $o->{ca}, SSL_verifycn_name => 'localhost');
@tls{qw(SSL_cert_file SSL_key_file)} = ($o->{certificate}, $o->{key}) if $o->{certificate};
my %first = $o->{implicit} ? (SSL => 1, %tls) : ();
my $s = Net::SMTP->new('localhost', Port => $o->{port}, Hello => 'client.example.org',
    Timeout => 30, %first) or die "cannot connect: $@";
# (They say "no" by an empty list: without `scalar` the words would be what is tested.)
sub must { $_[0] or die "$_[1]: " . $s->code . ' ' . $s->message }

must(scalar $s->starttls(%tls), 'starttls') unless $o->{implicit};
if ($o->{external}) {
    require Authen::SASL;
    must(scalar $s->auth(Authen::SASL->new(mechanism => 'EXTERNAL',
        callback => {user => $o->{identity}, authname => $o->{identity}})), 'auth');
} elsif ($o->{password}) {
    must(scalar $s->auth($o->{user}, $o->{password}), 'auth');
}
must(scalar $s->mail($o->{from}, Bits => 8), 'mail');
must(scalar $s->to($o->{to}), 'rcpt');
must(scalar $s->data(slurp($o->{message})), 'data');
$s->quit;
