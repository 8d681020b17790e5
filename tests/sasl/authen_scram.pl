#!/usr/bin/perl
# Our SCRAM against Perl's Authen::SCRAM, both ways, right and wrong password.
#
#     authen_scram.pl PATH-OF-scram_peer
use strict;
use warnings;
use utf8;
use MIME::Base64;
use IPC::Open2;

unless (eval { require Authen::SCRAM::Client; require Authen::SCRAM::Server; 1 }) {
    print "skipped: libauthen-scram-perl is not installed\n";
    exit 77;
}
my $peer = shift or die "which peer?";
my ($passed, $failed) = (0, 0);

sub check {
    my ($ok, $what) = @_;
    $ok ? $passed++ : $failed++;
    print "FAILED: $what\n" unless $ok;
}

sub hear { my $l = readline($_[0]) // ''; chomp $l; return $l }
sub say_token { my ($h, $t) = @_; print {$h} encode_base64($t, ''), "\n"; $h->flush }

sub our_server {
    my ($digest, $user, $pw, $theirs) = @_;
    my $pid = open2(my $in, my $out, $peer, 'server', "SCRAM-$digest", $user, $pw);
    my $c = Authen::SCRAM::Client->new(username => $user, password => $theirs,
        digest => $digest, minimum_iteration_count => 4096);
    my $ok = eval {
        say_token($out, $c->first_msg);
        say_token($out, $c->final_msg(decode_base64(hear($in))));
        my $final = hear($in);
        $c->validate(decode_base64($final));
    };
    close $out;
    my $status = hear($in);
    waitpid $pid, 0;
    return $ok && $status eq 'OK';
}

sub our_client {
    my ($digest, $user, $pw, $theirs) = @_;
    my $pid = open2(my $in, my $out, $peer, 'client', "SCRAM-$digest", $user, $pw);
    my $salt = 'salt of sixteen!';
    # The keys are made by a client of theirs: no line of ours is involved.
    my $keys = Authen::SCRAM::Client->new(username => $user, password => $theirs,
        digest => $digest);
    my ($stored, undef, $server) = $keys->computed_keys($salt, 4096);
    my $s = Authen::SCRAM::Server->new(digest => $digest,
        credential_cb => sub { return ($salt, $stored, $server, 4096) });
    my $ok = eval {
        my $m = $s->first_msg(decode_base64(hear($in)));
        say_token($out, $m);
        $m = $s->final_msg(decode_base64(hear($in)));
        say_token($out, $m);
        1;
    };
    print STDERR $@ if !$ok && $pw eq $theirs;
    close $out;
    my $status = hear($in);
    waitpid $pid, 0;
    return $ok && $status eq 'OK';
}

for my $digest ('SHA-1', 'SHA-256') {
    check(our_server($digest, 'user', 'pencil', 'pencil'), "our server, $digest");
    check(!our_server($digest, 'user', 'pencil', 'Pencil'), "our server, wrong, $digest");
    check(our_client($digest, 'user', 'pencil', 'pencil'), "our client, $digest");
    check(!our_client($digest, 'user', 'pencil', 'Pencil'), "our client, wrong, $digest");
}
print "$passed passed, $failed failed\n";
exit($failed != 0);
