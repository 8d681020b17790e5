<?php
// send.php OPTIONS.json - one message by PHPMailer, as its manual shows it.
require '/usr/share/php/libphp-phpmailer/autoload.php';

use PHPMailer\PHPMailer\PHPMailer;

$o = json_decode(file_get_contents($argv[1]), true);
$ssl = ['cafile' => $o['ca']];
if (isset($o['certificate'])) {
    $ssl += ['local_cert' => $o['certificate'], 'local_pk' => $o['key']];
}
$mail = new PHPMailer(true);
$mail->isSMTP();
$mail->Host = 'localhost';
$mail->Port = $o['port'];
$mail->SMTPSecure = $o['implicit'] ? PHPMailer::ENCRYPTION_SMTPS : PHPMailer::ENCRYPTION_STARTTLS;
$mail->SMTPOptions = ['ssl' => $ssl];
$mail->SMTPDebug = 1;
$mail->Debugoutput = fn ($text) => fwrite(STDERR, trim($text) . "\n");
if (isset($o['external'])) {
    $mail->SMTPAuth = true;
    $mail->AuthType = 'EXTERNAL';
    $mail->Username = $o['identity'];
} elseif (isset($o['password'])) {
    $mail->SMTPAuth = true;
    $mail->Username = $o['user'];
    $mail->Password = $o['password'];
}
$mail->setFrom($o['from'], 'Alice');
$mail->addAddress($o['to'], 'Bob');
$mail->Subject = $o['subject'];
$mail->Body = file_get_contents($o['body']);
try {
    $mail->send();
} catch (Exception $e) {
    fwrite(STDERR, $mail->ErrorInfo . "\n");
    exit(1);
}
